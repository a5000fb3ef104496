"""What the rules ask the plan: which files stand behind a run, a table, a figure."""

RESULTS = PLAN["results"]
STUDY = f"{RESULTS}/{PLAN['study']}"
#: prepared folder -> data set; data set with its size -> the card of its prepared images
DATASETS = PLAN["prepared"]
CARDS = {key: f"{entry['folder']}/card.json" for key, entry in PLAN["datasets"].items()}
DATA = {str(Path(entry["folder"]).parent) for entry in PLAN["datasets"].values()}.pop()
#: run -> the pack that trains it, or trained it
PACKS = json.loads(Path(os.environ["TOKENMIX_PACKS"]).read_text())


def metrics_of(table):
    """The metrics that a table shows."""
    return [
        f"{STUDY}/metrics/{table}/{dataset}.{kind}"
        for dataset in PLAN["tables"][table]["datasets"]
        for kind in ("csv", "cells.csv", "pairs.csv")
    ]


def confusion_of(table):
    """The confusion matrices behind a table."""
    return [
        f"{STUDY}/metrics/{table}/{dataset}.confusion.csv"
        for dataset in PLAN["tables"][table]["datasets"]
    ]


#: what the switches of the protocol are worth, where the study compares them
SWITCHES = [f"{STUDY}/metrics/switches.csv"] if PLAN["switches"] else []
SWITCHED_RUNS = [
    f"{RESULTS}/runs/{run}"
    for run, entry in PLAN["runs"].items()
    if "switches" in entry["tables"]
]
SWITCHED_CARD = [CARDS[PLAN["switches"]["dataset"]]] if SWITCHES else []
METRICS = [file for table in PLAN["tables"] for file in metrics_of(table)]
#: figure -> what it is drawn from
FIGURES = {
    "mac_mixers": [f"{STUDY}/profile/mixers.csv"],
    "mac_sizes": [f"{STUDY}/profile/sizes.csv"],
    "curves": [f"{RESULTS}/runs/{run}/history.csv" for run in PLAN["runs"]],
    "scores": METRICS,
    "confusion": [
        file
        for table in list(PLAN["tables"])[:1]
        for file in [*metrics_of(table), *confusion_of(table)]
    ],
    "kernels": METRICS,
    "uplift": METRICS,
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


def cards_behind(wildcards):
    """What the data sets of one table are called, and the facts that a table of data sets shows."""
    return [CARDS[dataset] for dataset in PLAN["tables"][wildcards.table]["datasets"]]


def profile_behind(wildcards):
    """Parameters of models, which tables with extensions show."""
    extended = any("+" in model for model in PLAN["tables"][wildcards.table]["models"])
    return [f"{STUDY}/profile/models.csv"] if extended else []


def attestations_behind(wildcards):
    """What made the runs of one table: its footnotes tell where libraries or devices differ."""
    return [
        f"{RESULTS}/runs/{name}/run.json"
        for name, run in PLAN["runs"].items()
        if wildcards.table in run["tables"]
    ]


def all_attestations(wildcards):
    """What made the runs of the study; a function, since Snakemake hashes a list of inputs once for each of them."""
    return [f"{RESULTS}/runs/{run}/run.json" for run in PLAN["runs"]]


def all_histories(wildcards):
    """The learning curves of the study."""
    return [f"{RESULTS}/runs/{run}/history.csv" for run in PLAN["runs"]]


def last_audit(wildcards):
    """What `tokenmix audit` left, where it was called."""
    path = f"{STUDY}/audit.json"
    return [path] if Path(path).is_file() else []


def shape(wildcards):
    """What one table shows, and how."""
    return json.dumps(PLAN["tables"][wildcards.table])


def remedies(wildcards):
    """Marks and footnotes of remedies; a function, since a user's words may hold braces."""
    return json.dumps(PLAN["remedies"])


def drawn_from(wildcards):
    """The files behind one figure."""
    return FIGURES[wildcards.figure]
