"""What the models cost: multiply-adds and parameters, counted on the models themselves."""

PROFILED = sorted({run["model"] for run in PLAN["runs"].values()})
#: all that it takes from the data sets, so that it needs none of them prepared
SHAPES = {
    key: {fact: entry[fact] for fact in ("size", "dimensions", "channels", "classes")}
    for key, entry in PLAN["datasets"].items()
}


rule profile:
    """Multiply-adds of models and mixer layers, parameters of models."""
    output:
        models=f"{STUDY}/profile/models.csv",
        mixers=f"{STUDY}/profile/mixers.csv",
        sizes=f"{STUDY}/profile/sizes.csv",
    log:
        f"logs/profile/{PLAN['study']}.log",
    conda:
        "../../envs/tokenmix.yaml"
    resources:
        mem_mb=more_each_time(8000),
        runtime=more_each_time(60),
    params:
        folder=subpath(output.models, parent=True),
        models=PROFILED,
        settings=json.dumps([PLAN["profile"], PLAN["model_options"], SHAPES]),
        code=PLAN["code"]["profiling"],
    message:
        f"Counting the multiply-adds of {len(PROFILED)} models"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix profile --plan "$TOKENMIX_PLAN" --out {params.folder:q} > {log:q} 2>&1'
