"""A finished study to hand on: a bundle for arXiv, and an archive that builds the paper again without training."""


rule arxiv:
    """The sources, figures and generated tables of the paper: what LaTeX read, so that it compiles alone."""
    input:
        pdf=rules.pdf.output,
    output:
        bundle=f"{STUDY}/arxiv.tar.gz",
    log:
        f"logs/archive/{PLAN['study']}.arxiv.log",
    conda:
        "../../envs/tokenmix.yaml"
    params:
        code=PLAN["code"]["archive"],
    message:
        "Packing the paper for arXiv"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix archive arxiv --plan "$TOKENMIX_PLAN" --out {output.bundle:q} > {log:q} 2>&1'


rule crate:
    """Predictions, attestations, metrics and sources with checksums: an RO-Crate, from which the paper can be built."""
    input:
        pdf=rules.pdf.output,
        metrics=METRICS,
        attested=ATTESTED,
        profile=rules.profile.output,
        values=rules.values.output.json,
        claims=rules.claims.output.json,
        page=rules.report_page.output,
    output:
        archive=f"{STUDY}/archive.zip",
    log:
        f"logs/archive/{PLAN['study']}.crate.log",
    conda:
        "../../envs/tokenmix.yaml"
    params:
        code=PLAN["code"]["archive"],
    message:
        "Archiving the results of the study"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix archive results --plan "$TOKENMIX_PLAN" --out {output.archive:q} > {log:q} 2>&1'


rule archive:
    """Both."""
    input:
        rules.arxiv.output,
        rules.crate.output,
