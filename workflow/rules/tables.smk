"""Metrics become tables: LaTeX for the paper, CSV for everybody else."""


rule table:
    """One table of results: mean and spread over seeds, the best marked, divergences and coincidences noted."""
    input:
        metrics=metrics_behind,
        attested=attested_behind,
        cards=cards_behind,
        profile=profile_behind,
    output:
        tex=f"{STUDY}/paper/tables/{{table}}.tex",
        csv=report(
            f"{STUDY}/paper/tables/{{table}}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
    log:
        f"logs/tables/{PLAN['study']}.{{table}}.log",
    wildcard_constraints:
        table="|".join(PLAN["tables"]),
    conda:
        "../../envs/tokenmix.yaml"
    params:
        shape=shape,
        remedies=remedies,
        about=about,
        code=PLAN["code"]["tables"],
    message:
        "Writing table {wildcards.table}"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix report table {wildcards.table:q} --plan "$TOKENMIX_PLAN" > {log:q} 2>&1'


rule table_of_datasets:
    """The data sets: task, classes, images by split, licence; from their cards and from the list."""
    input:
        cards=list(CARDS.values()),
    output:
        tex=f"{STUDY}/paper/tables/datasets.tex",
        csv=report(
            f"{STUDY}/paper/tables/datasets.csv",
            caption="../report/datasets.rst",
            category="Tables",
            labels={"table": "datasets"},
        ),
    log:
        f"logs/tables/{PLAN['study']}.datasets.log",
    conda:
        "../../envs/tokenmix.yaml"
    params:
        about=about,
        code=PLAN["code"]["tables"],
    message:
        "Writing the table of data sets"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix report table datasets --plan "$TOKENMIX_PLAN" > {log:q} 2>&1'


# `snakemake table_classification_4t`: each table by its name
for name in [*PLAN["tables"], "datasets", "reported", "switches"]:

    rule:
        """One table and only what it needs."""
        name:
            f"table_{name}"
        input:
            f"{STUDY}/paper/tables/{name}.tex",
            f"{STUDY}/paper/tables/{name}.csv",
        localrule: True


rule tables:
    """All tables."""
    input:
        expand(
            f"{STUDY}/paper/tables/{{table}}.{{kind}}",
            table=PLAN["tables"],
            kind=["tex", "csv"],
        ),
        rules.table_of_datasets.output,
        rules.table_of_reported.output,
        rules.table_of_switches.output,
