"""Values, sentences, tables and figures become the PDF."""


rule values:
    """The registry: every number of the paper with its unit, n, formula and runs; and the sentences of findings."""
    input:
        metrics=METRICS,
        reported=rules.table_of_reported.output,
        profile=rules.profile.output,
        cards=list(CARDS.values()),
        attestations=ATTESTATIONS,
        audit=last_audit,
    output:
        json=f"{STUDY}/paper/values.json",
        tex=f"{STUDY}/paper/values.tex",
        sentences=expand(
            f"{STUDY}/paper/{{part}}.tex", part=["findings", "summary", "contents"]
        ),
    log:
        f"logs/paper/{PLAN['study']}.values.log",
    conda:
        "../../envs/tokenmix.yaml"
    params:
        code=PLAN["code"]["values"],
    message:
        "Collecting the values of the paper"
    shell:
        'PYTHONPATH=src python -m tokenmix report values --plan "$TOKENMIX_PLAN" > {log:q} 2>&1'


rule runs_appendix:
    """The appendix that every number links to: runs, seeds, data, code, and the commit that computed them."""
    input:
        values=rules.values.output.json,
        metrics=METRICS,
        profile=rules.profile.output,
        cards=list(CARDS.values()),
        attestations=ATTESTATIONS,
    output:
        tex=f"{STUDY}/paper/runs.tex",
    log:
        f"logs/paper/{PLAN['study']}.runs.log",
    conda:
        "../../envs/tokenmix.yaml"
    params:
        code=PLAN["code"]["appendix"],
    message:
        "Writing the appendix of runs"
    shell:
        'PYTHONPATH=src python -m tokenmix report runs --plan "$TOKENMIX_PLAN" > {log:q} 2>&1'


rule pdf:
    """Check the manuscript's values, then typeset it."""
    input:
        manuscript=MANUSCRIPT,
        values=rules.values.output,
        runs=rules.runs_appendix.output,
        tables=rules.tables.input,
        figures=rules.figures.input,
    output:
        pdf=report(f"{STUDY}/paper.pdf", category="Paper"),
    log:
        f"logs/paper/{PLAN['study']}.pdf.log",
    conda:
        "../../envs/latex.yaml"
    params:
        code=PLAN["code"]["paper"],
    message:
        "Typesetting the paper"
    shell:
        'PYTHONPATH=src python -m tokenmix report pdf --plan "$TOKENMIX_PLAN" > {log:q} 2>&1'


rule paper:
    """The PDF."""
    input:
        rules.pdf.output,
