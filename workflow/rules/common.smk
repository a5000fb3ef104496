"""Names of the files that rules exchange, as the plan has them."""

RESULTS = PLAN["results"]
STUDY = f"{RESULTS}/{PLAN['study']}"
#: prepared folder -> data set; data set with its size -> the card of its prepared images
DATASETS = PLAN["prepared"]
CARDS = {key: f"{entry['folder']}/card.json" for key, entry in PLAN["datasets"].items()}
(DATA,) = {str(Path(entry["folder"]).parent) for entry in PLAN["datasets"].values()}
#: run -> the pack that trains it, or trained it
PACKS = json.loads(Path(os.environ["TOKENMIX_PACKS"]).read_text())


def more_each_time(amount):
    """Memory or time of a job: so much at the first attempt, twice as much at the second."""
    return lambda wildcards, attempt: amount * attempt


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


def attested_by(table):
    """Checksums of the attestations behind a table, which attest all else that its runs left.

    Jobs that read of every run take these for their inputs: they wait for the runs and are made again where one
    changed, but Snakemake need not look at thousands of files once for each such job.
    """
    return [
        f"{STUDY}/metrics/{table}/{dataset}.sha256"
        for dataset in PLAN["tables"][table]["datasets"]
    ]


#: what the switches of the protocol are worth, where the study compares them
SWITCHES = [f"{STUDY}/metrics/switches.csv"] if PLAN["switches"] else []
SWITCHED_RUNS = [
    f"{RESULTS}/runs/{run}"
    for run, entry in PLAN["runs"].items()
    if "switches" in entry["tables"]
]
#: stands for all that the runs of the study left
ATTESTED = [
    *(file for table in PLAN["tables"] for file in attested_by(table)),
    *(f"{run}/run.json" for run in SWITCHED_RUNS),
]
SWITCHED_CARDS = sorted({CARDS[compared["dataset"]] for compared in PLAN["switches"]})
METRICS = [file for table in PLAN["tables"] for file in metrics_of(table)]
#: figure -> what it is drawn from
FIGURES = {
    "mac_mixers": [f"{STUDY}/profile/mixers.csv"],
    "mac_sizes": [f"{STUDY}/profile/sizes.csv"],
    "curves": ATTESTED,
    "scores": METRICS,
    "confusion": [
        *METRICS,
        *(file for table in PLAN["tables"] for file in confusion_of(table)),
    ],
    "kernels": METRICS,
    "uplift": [*METRICS, *ATTESTED],
    "ranks": [f"{STUDY}/metrics/{table}/ranks.csv" for table in PLAN["tables"]],
    "reported": [f"{STUDY}/paper/tables/reported.csv"],
}
PUBLISHED = sorted(map(str, Path("paper/reported").glob("*.csv")))
MANUSCRIPT = sorted(
    str(path)
    for path in Path("paper").rglob("*")
    if path.name.endswith(tuple(PLAN["manuscript"]))
)
