"""What the rules ask the plan about a run, a table, a figure: input functions and parameters."""


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


def attested_behind(wildcards):
    """Checksums of what made the runs of one table: its footnotes tell where libraries or devices differ."""
    return attested_by(wildcards.table)


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


def presented(wildcards):
    """What values and sentences take from the config: title, order of tables, switches; a function like the one above."""
    shown = {name: PLAN[name] for name in ("title", "switched")}
    return json.dumps({**shown, "paper_tables": list(PLAN["tables"])})


def order_of_tables(wildcards):
    """Some figures show the first table, others all of them in this order."""
    return json.dumps({"paper_tables": list(PLAN["tables"])})


def about(wildcards):
    """Title, licence and DOI of each data set, which may be edited; a function, since they may hold braces."""
    return json.dumps(
        {"about": {key: entry["about"] for key, entry in PLAN["datasets"].items()}}
    )


def drawn_from(wildcards):
    """The files behind one figure."""
    return FIGURES[wildcards.figure]
