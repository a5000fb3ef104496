"""Predictions become metrics, intervals and comparisons; one job a table and data set, no GPU."""


rule evaluate:
    """Metrics of each run, means over seeds, paired differences with intervals, confusion matrices; what they rest on."""
    input:
        predictions=predictions,
        attestations=attestations,
        card=ancient(evaluated_card),
    output:
        runs=f"{STUDY}/metrics/{{table}}/{{dataset}}.csv",
        cells=f"{STUDY}/metrics/{{table}}/{{dataset}}.cells.csv",
        pairs=f"{STUDY}/metrics/{{table}}/{{dataset}}.pairs.csv",
        confusion=f"{STUDY}/metrics/{{table}}/{{dataset}}.confusion.csv",
        attested=f"{STUDY}/metrics/{{table}}/{{dataset}}.sha256",
    log:
        f"logs/evaluate/{PLAN['study']}.{{table}}.{{dataset}}.log",
    wildcard_constraints:
        dataset="|".join(PLAN["datasets"]),
    conda:
        "../../envs/tokenmix.yaml"
    resources:
        mem_mb=more_each_time(4000),
        runtime=more_each_time(60),
    params:
        folder=subpath(output.runs, parent=True),
        settings=json.dumps(PLAN["evaluation"]),
        code=PLAN["code"]["evaluation"],
    message:
        "Evaluating the runs of {wildcards.table} on {wildcards.dataset}"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix evaluate --plan "$TOKENMIX_PLAN" --table {wildcards.table:q} --dataset {wildcards.dataset:q}'
        " --out {params.folder:q} > {log:q} 2>&1"


rule evaluate_switches:
    """Models under each variant of the protocol: means over seeds, and differences to the corrected one."""
    input:
        predictions=expand("{run}/predictions.npz", run=SWITCHED_RUNS),
        attestations=expand("{run}/run.json", run=SWITCHED_RUNS),
        cards=ancient(SWITCHED_CARDS),
    output:
        csv=f"{STUDY}/metrics/switches.csv",
    log:
        f"logs/evaluate/{PLAN['study']}.switches.log",
    conda:
        "../../envs/tokenmix.yaml"
    resources:
        mem_mb=more_each_time(4000),
        runtime=more_each_time(60),
    params:
        compared=json.dumps([PLAN["switches"], PLAN["evaluation"]]),
        code=PLAN["code"]["switches"],
    message:
        "Comparing the switches of the protocol"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix switches --plan "$TOKENMIX_PLAN" --out {output.csv:q} > {log:q} 2>&1'


rule rank:
    """Rivals beaten, relative ranks and average places of a table's models over its data sets."""
    input:
        metrics=metrics_behind,
    output:
        wins=f"{STUDY}/metrics/{{table}}/wins.csv",
        ranks=f"{STUDY}/metrics/{{table}}/ranks.csv",
    log:
        f"logs/evaluate/{PLAN['study']}.{{table}}.ranks.log",
    conda:
        "../../envs/tokenmix.yaml"
    params:
        folder=subpath(output.ranks, parent=True),
        shape=shape,
        level=PLAN["evaluation"]["level"],
        code=PLAN["code"]["ranking"],
    message:
        "Ranking the models of {wildcards.table}"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix rank --plan "$TOKENMIX_PLAN" --table {wildcards.table:q}'
        " --out {params.folder:q} > {log:q} 2>&1"
