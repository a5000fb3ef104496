"""What the rules ask the plan: which files stand behind a run, a table, a figure."""

RESULTS = PLAN["results"]
STUDY = f"{RESULTS}/{PLAN['study']}"
#: prepared folder -> data set; data set with its size -> the card of its prepared images
DATASETS = {Path(entry["folder"]).name: entry for entry in PLAN["datasets"].values()}
CARDS = {key: f"{entry['folder']}/card.json" for key, entry in PLAN["datasets"].items()}
DATA = {str(Path(entry["folder"]).parent) for entry in PLAN["datasets"].values()}.pop()
#: run -> the pack that trains it, or trained it
PACKS = json.loads(Path(os.environ["TOKENMIX_PACKS"]).read_text())
ATTESTATIONS = [f"{RESULTS}/runs/{run}/run.json" for run in PLAN["runs"]]


def metrics_of(table):
    """The metrics that a table shows."""
    return [
        f"{STUDY}/metrics/{table}/{dataset}.{kind}"
        for dataset in PLAN["tables"][table]["datasets"]
        for kind in ("csv", "cells.csv", "pairs.csv")
    ]


METRICS = [file for table in PLAN["tables"] for file in metrics_of(table)]
#: figure -> what it is drawn from
FIGURES = {
    "mac_mixers": [f"{STUDY}/profile/mixers.csv"],
    "mac_sizes": [f"{STUDY}/profile/sizes.csv"],
    "curves": [f"{RESULTS}/runs/{run}/history.csv" for run in PLAN["runs"]],
    "scores": METRICS,
    "ranks": [f"{STUDY}/metrics/{table}/ranks.csv" for table in PLAN["tables"]],
    "reported": [f"{STUDY}/paper/tables/reported.csv"],
}
PUBLISHED = sorted(map(str, Path("paper/reported").glob("*.csv")))
MANUSCRIPT = sorted(
    str(path)
    for path in Path("paper").rglob("*")
    if path.suffix in {".tex", ".sty", ".bib"} or path.name == "latexmkrc"
)


def data_card(wildcards):
    """The prepared data of a run."""
    return f"{PLAN['runs'][wildcards.run]['data_folder']}/card.json"


def frozen_code(wildcards, input):
    """The folder of the code that the plan froze for a run; a function of the input: where it lies is no setting."""
    return str(Path(PLAN["runs"][wildcards.run]["code_folder"]).absolute())


def receipt_of_pack(wildcards):
    """What the job leaves that trains, or trained, a run; nothing where a run was finished without a pack."""
    pack = PACKS.get(wildcards.run)
    return [f"{RESULTS}/packed/{pack}.json"] if pack else []


def read_pack(pack):
    """The frozen list of the runs of a pack."""
    return json.loads(Path(f"{RESULTS}/plan/packs/{pack}.json").read_text())


def cards_of_pack(wildcards):
    """The prepared data of a pack."""
    runs = read_pack(wildcards.pack)["runs"]
    return sorted({f"{PLAN['runs'][run]['data_folder']}/card.json" for run in runs})


def threads_of_pack(wildcards):
    """Cores of a pack: those of its runs, as often as runs may train side by side."""
    pack = read_pack(wildcards.pack)
    return pack["threads"] * pack["at_most"]


def code_of_pack(wildcards, input):
    """The frozen code that starts the runs; a function of the input: packs are not trained again for its sake."""
    return str(Path(json.loads(Path(input.runs).read_text())["code"]).absolute())


def more_memory(wildcards, attempt):
    """MB; runs that were killed for memory get twice as much, then three times."""
    side_by_side = read_pack(wildcards.pack)["at_most"]
    return PLAN["execution"]["memory_mb"] * side_by_side * attempt


def more_time(wildcards, attempt):
    """Minutes; runs that ran out of time resume where they stopped and get more of it."""
    return 720 * attempt


def attempts_left(wildcards, attempt):
    """At the last attempt a pack gives up the runs that were killed, for the sake of the others."""
    return PLAN["execution"]["retries"] + 1 - attempt


def runs_behind(wildcards, artefact):
    """One artefact of each run that a table shows for a data set."""
    return [
        f"{RESULTS}/runs/{name}/{artefact}"
        for name, run in PLAN["runs"].items()
        if wildcards.table in run["tables"]
        and f"{run['dataset']}-{run['size']}" == wildcards.dataset
    ]


def predictions(wildcards):
    """Scores and labels of every test case."""
    return runs_behind(wildcards, "predictions.npz")


def attestations(wildcards):
    """What made the predictions; checked against the plan."""
    return runs_behind(wildcards, "run.json")


def evaluated_card(wildcards):
    """Task and classes of the data set."""
    return CARDS[wildcards.dataset]


def metrics_behind(wildcards):
    """The metrics of one table."""
    return metrics_of(wildcards.table)


def attestations_behind(wildcards):
    """What made the runs of one table: its footnotes tell where libraries or devices differ."""
    return [
        f"{RESULTS}/runs/{name}/run.json"
        for name, run in PLAN["runs"].items()
        if wildcards.table in run["tables"]
    ]


def shape(wildcards):
    """What one table shows, and how."""
    return json.dumps(PLAN["tables"][wildcards.table])


def drawn_from(wildcards):
    """The files behind one figure."""
    return FIGURES[wildcards.figure]
