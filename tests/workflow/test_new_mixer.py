"""The README's recipe for a new mixer, followed to the letter: one file, one line, and it stands everywhere."""

import csv
import re
from pathlib import Path

import pytest
from checkout import ROOT, Checkout
from pdf import pdf_text

#: which show every mixer
FIGURES = ("curves", "scores", "ranks", "mac_sizes")


def follow_the_recipe(checkout: Checkout) -> str:
    """Do what the README's section says, with its own words; returns the mixer's name."""
    section = (ROOT / "README.md").read_text().split("## Your own mixer\n")[1].split("\n## ")[0]
    (path,) = re.findall(r"`(src/tokenmix/models/mixers/\w+\.py)`", section)
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    ((above, line),) = re.findall(r"```yaml\n(.*)\n(.*)\n```", section)
    (checkout.folder / path).write_text(code)
    config = (checkout.folder / "config.yaml").read_text().splitlines()
    where = next(number for number, text in enumerate(config) if text.strip().startswith(above))
    indent = config[where].partition(above)[0]
    config.insert(where + 1, indent + line)
    (checkout.folder / "config.yaml").write_text("\n".join(config) + "\n")
    assert line.strip() == f"{Path(path).stem}:"
    return Path(path).stem


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def added(tmp_path_factory) -> tuple[Path, str]:
    """Results of the small study with the new mixer, and its name."""
    checkout = Checkout(tmp_path_factory.mktemp("recipe"))
    before = checkout.planned("all")
    mixer = follow_the_recipe(checkout)
    planned = checkout.planned("all")
    assert before < planned, "a new mixer should leave all other runs as they are"
    assert {run.split(".")[1] for run in planned - before} == {f"xs-tttt-{mixer}"}
    done = checkout.snakemake("tables", *(f"figure_{name}" for name in FIGURES))
    assert done.returncode == 0, done.stdout[-4000:]
    return checkout.folder / "results/tiny", mixer


def test_it_stands_in_the_table(added):
    results, mixer = added
    table = rows(results / "paper/tables/classification_4t.csv")
    assert sorted({row["model"] for row in table}) == sorted(
        ["xs-tttt-identity", "xs-tttt-pooling3", f"xs-tttt-{mixer}"]
    )
    assert mixer in (results / "paper/tables/classification_4t.tex").read_text()


def test_it_is_ranked_and_tested_against_the_others(added):
    results, mixer = added
    ranked = {row["model"] for row in rows(results / "metrics/classification_4t/ranks.csv")}
    assert f"xs-tttt-{mixer}" in ranked and len(ranked) == 3
    (pairs,) = (results / "metrics/classification_4t").glob("*.pairs.csv")
    assert f"xs-tttt-{mixer}" in pairs.read_text()


def test_its_cost_is_counted(added):
    results, mixer = added
    assert {row["stage"] for row in rows(results / "profile/mixers.csv") if row["mixer"] == mixer} == set("1234")
    for name in ("models", "sizes"):
        counted = [row for row in rows(results / f"profile/{name}.csv") if row["model"] == f"xs-tttt-{mixer}"]
        assert counted and all(int(row["macs"]) > 0 for row in counted)


@pytest.mark.parametrize("figure", FIGURES)
def test_it_is_drawn(added, figure):
    results, mixer = added
    assert mixer in pdf_text(results / f"paper/figures/{figure}.pdf")
