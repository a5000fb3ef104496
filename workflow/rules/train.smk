"""One run, one training: the frozen code trains the frozen spec; everything else is in the run's name."""


rule train:
    """Train one run, or resume it, or republish what the store already holds."""
    input:
        # the plan is named by its content, so its time says nothing
        plan=ancient(f"{RESULTS}/plan/{{run}}.json"),
        card=ancient(data_card),
    output:
        weights=f"{RESULTS}/runs/{{run}}/model.safetensors",
        history=f"{RESULTS}/runs/{{run}}/history.csv",
        predictions=f"{RESULTS}/runs/{{run}}/predictions.npz",
        attestation=f"{RESULTS}/runs/{{run}}/run.json",
    log:
        "logs/train/{run}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{run}}.jsonl"
    conda:
        "../../envs/tokenmix.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=more_memory,
        runtime=more_time,
    params:
        code=frozen_code,
    message:
        "Training {wildcards.run}"
    shell:
        "PYTHONSAFEPATH=1 PYTHONPATH=$PWD/{params.code:q} python -m tokenmix.training {input.plan:q} > {log:q} 2>&1"
