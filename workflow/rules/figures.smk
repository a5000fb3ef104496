"""Metrics, histories and profiles become figures: PDF for the paper, PNG for everybody else."""


rule figure:
    """One figure, readable in grey, with units."""
    input:
        shown=drawn_from,
    output:
        pdf=f"{STUDY}/paper/figures/{{figure}}.pdf",
        tex=f"{STUDY}/paper/figures/{{figure}}.tex",
        png=report(
            f"{STUDY}/paper/figures/{{figure}}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        f"logs/figures/{PLAN['study']}.{{figure}}.log",
    wildcard_constraints:
        figure="|".join(FIGURES),
    conda:
        "../../envs/tokenmix.yaml"
    params:
        order=order_of_tables,
        about=about,
        code=PLAN["code"]["figures"],
    message:
        "Drawing figure {wildcards.figure}"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix report figure {wildcards.figure:q} --plan "$TOKENMIX_PLAN" > {log:q} 2>&1'


# `snakemake figure_curves`: each figure by its name
for name in FIGURES:

    rule:
        """One figure and only what it needs."""
        name:
            f"figure_{name}"
        input:
            f"{STUDY}/paper/figures/{name}.pdf",
        localrule: True


rule figures:
    """All figures."""
    input:
        expand(
            f"{STUDY}/paper/figures/{{figure}}.{{kind}}",
            figure=FIGURES,
            kind=["pdf", "png", "tex"],
        ),
