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
        mem_mb=4000,
        runtime=120,
    params:
        name=lookup("{prepared}/name", within=DATASETS),
        size=lookup("{prepared}/size", within=DATASETS),
        folder=subpath(output.card, parent=True),
    message:
        "Preparing the images of {wildcards.prepared}"
    shell:
        "PYTHONPATH=src python -m tokenmix data prepare {params.name:q} --size {params.size} --out {params.folder:q} > {log:q} 2>&1"
