"""Whether what lies under a run's name is that run: its attestation against its name and plan, its files against both.

A run's name ends in a hash over its spec, data and code, so that an edited attestation betrays itself even where
plan and store are gone. Every complaint says which file, and where the right one is or how to make it again.
"""

import hashlib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import canonical_json, read_json, sha256_file
from tokenmix.reporting.inputs import Study
from tokenmix.study.code import DIGITS
from tokenmix.study.spec import identifying

ATTESTATION = "run.json"
#: the artefact that every score comes from
PREDICTIONS = "predictions.npz"
#: of changed attestations, how many one message shows
_SHOWN = 10


def refuse_changed_attestations(study: Study) -> None:
    """Hold each attestation of the study against the checksum that its training noted in the store.

    The paper prints what they say of status, marks, commits, dates and devices, of which the runs' names know nothing.
    A run without a store, as after a copy of `runs` alone, passes. Raises UserError that names the changed files.
    """
    changed = [found for run in study.index["runs"] if (found := _changed(study, run, _receipt(study, run)))]
    if changed:
        more = [f"and {len(changed) - _SHOWN} more"] if len(changed) > _SHOWN else []
        raise UserError("\n  ".join(["attestations are not those of the trainings:", *changed[:_SHOWN], *more]))


def run_problems(study: Study, run: str) -> list[str]:
    """All that is wrong with the attestation and the predictions of a run."""
    folder = study.results / "runs" / run
    path = folder / ATTESTATION
    if not path.is_file():
        kept = study.results / "store" / run / "finished.json"
        how = "the store still holds it, so that this trains nothing: " if kept.is_file() else ""
        return [f"the run {run} was deleted: {path} is missing; make it again: {how}{study.remake(run)}"]
    try:
        attested = study.run(run)
        plan = _plan(study, run)
        found = list(_attestation_problems(study, run, attested, plan))
        wanted = attested["outputs"][PREDICTIONS]
    except UserError as error:
        return [str(error)]
    except (KeyError, TypeError, AttributeError) as error:
        again = _again(study, run, ATTESTATION, _receipt(study, run).get(ATTESTATION))
        return [f"{path} is no attestation of a run ({error!r}); {again}"]
    predictions = folder / PREDICTIONS
    if not predictions.is_file():
        found.append(f"{predictions} is missing; {_again(study, run, PREDICTIONS, wanted)}")
    elif sha256_file(predictions) != wanted:
        found.append(
            f"{predictions} is not the file that its {ATTESTATION} attests; {_again(study, run, PREDICTIONS, wanted)}"
        )
    return found


def _attestation_problems(
    study: Study, run: str, attested: Mapping[str, Any], plan: Mapping[str, Any]
) -> Iterator[str]:
    path, receipt = study.results / "runs" / run / ATTESTATION, _receipt(study, run)
    again = _again(study, run, ATTESTATION, receipt.get(ATTESTATION))
    hashes = attested["hashes"]
    counted = canonical_json(identifying(attested["spec"], tuple(plan.get("rungs", ()))))
    spec = hashlib.sha256(counted.encode()).hexdigest()
    joined = canonical_json({"spec": spec, "data": hashes["data"], "code": hashes["code"]})
    named = hashlib.sha256(joined.encode()).hexdigest()[:DIGITS]
    if attested["run"] != run or named != run.rpartition(".")[2]:
        yield f"{path} was changed: its spec, data and code do not make the hash in the name {run}; {again}"
    elif plan and (plan["data"]["hash"], plan["code"]["hash"]) != (hashes["data"], hashes["code"]):
        yield f"{path} and {study.results / 'plan' / run}.json name other data or code; {again}"
    elif changed := _changed(study, run, receipt):
        yield changed


def _changed(study: Study, run: str, receipt: Mapping[str, Any]) -> str:
    """What to say of an attestation that is not the one of the receipt; empty where it is, or where there is none."""
    path, wanted = study.results / "runs" / run / ATTESTATION, receipt.get(ATTESTATION)
    if not wanted or not path.is_file() or sha256_file(path) == wanted:
        return ""
    return f"{path} was changed after the run finished; {_again(study, run, ATTESTATION, wanted)}"


def _again(study: Study, run: str, name: str, checksum: str | None) -> str:
    """Where the right file is, or how to make it again."""
    kept = study.results / "store" / run / name
    # these are pasted into a shell, and folders of results may have spaces in their names
    store, published = (shlex.quote(f"{study.results}/{place}/{run}") for place in ("store", "runs"))
    if checksum and kept.is_file() and sha256_file(kept) == checksum:
        return f"the right one is {kept}; publish it again: rm -r {published} && {study.remake(run)}"
    return f"no copy is left; train it again: rm -r {store} {published} && {study.remake(run)}"


def _receipt(study: Study, run: str) -> dict[str, Any]:
    """The checksums that the training noted when it finished."""
    return _read(study.results / "store" / run / "finished.json")


def _plan(study: Study, run: str) -> dict[str, Any]:
    """The frozen plan of a run, which may be missing; raises UserError where the file is something else."""
    path = study.results / "plan" / f"{run}.json"
    plan = _read(path)
    if plan and not all(isinstance(plan.get(part), dict) and "hash" in plan[part] for part in ("data", "code")):
        raise UserError(
            f"{path} is no plan of a run; delete it and plan the study again: snakemake -n --config study={study.name}"
        )
    return plan


def _read(path: Path) -> dict[str, Any]:
    """A JSON file that may be missing."""
    found = read_json(path) if path.is_file() else {}
    return found if isinstance(found, dict) else {}
