"""Packs of runs are trained, one job a pack; then each run's artefacts get their declared names."""


rule train:
    """Train the runs of a pack, each in a process of its own, or resume them; the store keeps what is finished."""
    input:
        # packs are named by their content, so their time says nothing
        runs=ancient(f"{RESULTS}/plan/packs/{{pack}}.json"),
        data=ancient(data_of_pack),
    output:
        receipt=f"{RESULTS}/packed/{{pack}}.json",
    log:
        "logs/train/pack-{pack}.log",
    retries: PLAN["execution"]["retries"]
    conda:
        "../../envs/tokenmix.yaml"
    threads: threads_of_pack
    resources:
        # a cluster gives these; `threads` it would cap at the cores of the machine that the head runs on
        cpus_per_task=threads_of_pack,
        gpu=1,
        mem_mb=more_memory,
        runtime=more_time,
        attempt=number_of_attempt,
        attempts_left=attempts_left,
    params:
        code=code_of_pack,
    message:
        "Training pack {wildcards.pack}"
    shell:
        "PYTHONSAFEPATH=1 PYTHONPATH={params.code:q} exec python -m tokenmix.training.pack {input.runs:q}"
        " --receipt {output:q} --attempt {resources.attempt} --attempts-left {resources.attempts_left} > {log:q} 2>&1"


rule publish:
    """Link the artefacts of a finished run to where tables and figures look for them."""
    input:
        receipt=ancient(receipt_of_pack),
    output:
        weights=f"{RESULTS}/runs/{{run}}/model.safetensors",
        history=f"{RESULTS}/runs/{{run}}/history.csv",
        predictions=f"{RESULTS}/runs/{{run}}/predictions.npz",
        attestation=f"{RESULTS}/runs/{{run}}/run.json",
    log:
        "logs/publish/{run}.log",
    conda:
        "../../envs/tokenmix.yaml"
    params:
        # frozen before the first job starts, and only then: a dry run of thousands of runs writes no file for each
        plan=f"{RESULTS}/plan/{{run}}.json",
    message:
        "Publishing {wildcards.run}"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" exec python -m tokenmix.training {params.plan:q} --only publish > {log:q} 2>&1'
