"""Public images become arrays that training maps into memory: each data set once, named by its content."""


rule prepare_data:
    """Fetch (mirrors first), verify and prepare one data set; phantoms are generated."""
    output:
        card=f"{DATA}/{{prepared}}/card.json",
        samples=f"{DATA}/{{prepared}}/samples.png",
        arrays=expand(
            f"{DATA}/{{{{prepared}}}}/{{split}}_{{kind}}.npy",
            split=["train", "val", "test"],
            kind=["images", "labels"],
        ),
    log:
        "logs/data/{prepared}.log",
    conda:
        "../../envs/tokenmix.yaml"
    resources:
        mem_mb=more_each_time(4000),
        # one download follows the other, all of the full study's in this time
        runtime=more_each_time(720),
    params:
        name=lookup("{prepared}/name", within=DATASETS),
        size=lookup("{prepared}/size", within=DATASETS),
        padding=lookup("{prepared}/padding", within=DATASETS),
        folder=subpath(output.card, parent=True),
    message:
        "Preparing the images of {wildcards.prepared}"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix data prepare {params.name:q} --size {params.size} --padding {params.padding:q} --out {params.folder:q} > {log:q} 2>&1'


rule prepare_weights:
    """Fetch (mirrors first) and verify published weights, and keep them as safetensors."""
    output:
        weights=f"{DATA}/weights/{{checkpoint}}.safetensors",
        card=f"{DATA}/weights/{{checkpoint}}.json",
    log:
        "logs/data/{checkpoint}.log",
    conda:
        "../../envs/tokenmix.yaml"
    resources:
        mem_mb=more_each_time(4000),
        runtime=more_each_time(60),
    params:
        folder=subpath(output.weights, parent=True),
    message:
        "Fetching the weights of {wildcards.checkpoint}"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix data weights {wildcards.checkpoint:q} --out {params.folder:q} > {log:q} 2>&1'
