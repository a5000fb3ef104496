"""`tokenmix report`: values, tables, figures, the appendix of runs, checks of the manuscript, the PDF, the page."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenmix.errors import UserError
from tokenmix.files import write_atomic
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.registry import Registry


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the products of `tokenmix report`."""
    products = parser.add_subparsers(dest="product", required=True, metavar="PRODUCT")
    for name, (function, help_text) in PRODUCTS.items():
        product = products.add_parser(name, help=help_text, description=help_text)
        if name in ("table", "figure"):
            product.add_argument("name", metavar="NAME", help=f"which {name}")
        wanted = "study index in the plan folder" + (
            "; without it, typed numbers and claims only" if name == "check" else ""
        )
        product.add_argument("--plan", type=Path, required=name != "check", metavar="INDEX", help=wanted)
        if name in ("check", "claims", "pdf", "reported"):
            product.add_argument(
                "--source",
                type=Path,
                default=Path("paper"),
                metavar="FOLDER",
                help="folder of the manuscript (default: paper)",
            )
        product.set_defaults(make=function)


def run(args: argparse.Namespace) -> None:
    """Make one product; all go to `<results>/<study>/paper`, the PDF beside it."""
    if args.plan is None:
        _check_text(args.source)
    else:
        args.make(Study.open(args.plan), args)


# Each product imports its own module, so that a table's job does not load what figures need.


def _values(study: Study, _: argparse.Namespace) -> None:
    from tokenmix.reporting import values

    registry = values.write(study, study.paper)
    print(f"{study.paper / 'values.json'}: {len(registry.values)} values")


def _table(study: Study, args: argparse.Namespace) -> None:
    from tokenmix.reporting import tables

    tables.write(study, args.name, study.paper / "tables")


def _reported(study: Study, args: argparse.Namespace) -> None:
    from tokenmix.reporting import reported

    reported.write(study, args.source / "reported", study.paper / "tables")


def _figure(study: Study, args: argparse.Namespace) -> None:
    from tokenmix.reporting import figures

    figures.write(study, args.name, study.paper / "figures")


def _runs(study: Study, _: argparse.Namespace) -> None:
    from tokenmix.reporting import appendix

    write_atomic(study.paper / "runs.tex", appendix.runs_tex(study, _registry(study)))


def _claims(study: Study, args: argparse.Namespace) -> None:
    from tokenmix.reporting.claims import tex

    for key, verdict in tex.write(study, args.source, study.paper).items():
        print(f"{key}: {verdict.state}" + (f" ({verdict.reason})" if verdict.reason else ""))


def _judge(study: Study, _: argparse.Namespace) -> None:
    from tokenmix.reporting.claims import judge

    verdict = judge.judge(study)
    write_atomic(study.paper / "judgement.txt", verdict + "\n")
    print(verdict)


def _check(study: Study, args: argparse.Namespace) -> None:
    from tokenmix.reporting import check
    from tokenmix.reporting.claims.check import unused_claims

    found = check.manuscript_problems(args.source, study, _registry(study))
    _refuse(found)
    done = f"{args.source}: all values, claims and generated files are there, no number is typed"
    print(*unused_claims(args.source), done, sep="\n")


def _check_text(source: Path) -> None:
    from tokenmix.reporting import numbers
    from tokenmix.reporting.claims.check import claim_problems

    _refuse([*numbers.number_problems(source), *claim_problems(source)])
    print(f"{source}: no number is typed, and all claims are there")


def _refuse(found: Sequence[object]) -> None:
    if found:
        raise UserError("the manuscript needs mending:\n" + "\n".join(f"  {problem}" for problem in found))


def _pdf(study: Study, args: argparse.Namespace) -> None:
    from tokenmix.reporting import paper
    from tokenmix.reporting.claims.check import unused_claims

    pdf = study.folder / "paper.pdf"
    paper.build(study, args.source, pdf)
    print(*unused_claims(args.source), pdf, sep="\n")


def _page(study: Study, _: argparse.Namespace) -> None:
    from tokenmix.reporting.page import document

    page = study.folder / "report.html"
    document.write(study, _registry(study), page)
    print(page)


def _registry(study: Study) -> Registry:
    return Registry.read(study.paper / "values.json")


PRODUCTS: dict[str, tuple[Callable[[Study, argparse.Namespace], None], str]] = {
    "values": (_values, "the registry of values, and the sentences of findings"),
    "table": (_table, "one table of results, `datasets` or `switches`"),
    "reported": (_reported, "the published values beside the study's own cells: CSV and LaTeX"),
    "figure": (
        _figure,
        "one figure: mac_mixers, mac_sizes, curves, scores, confusion, kernels, uplift, ranks or reported",
    ),
    "runs": (_runs, "the appendix of cells, runs and values"),
    "claims": (_claims, "the verdicts on the claims of the manuscript, for the text and the appendix"),
    "judge": (_judge, "fail where a claim of the manuscript fails, unless the study allows it"),
    "check": (_check, "check the manuscript's keys, generated files and typed numbers"),
    "pdf": (_pdf, "the PDF of the study"),
    "page": (_page, "one self-contained HTML page to browse cells, runs, published values, claims and all values"),
}
