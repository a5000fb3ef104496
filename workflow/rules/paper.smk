"""Values, claims, tables and figures become the PDF, which is then judged by its claims."""


rule pdf:
    """Check the manuscript's values, then typeset it."""
    input:
        manuscript=MANUSCRIPT,
        values=rules.values.output,
        claims=rules.claims.output,
        runs=rules.runs_appendix.output,
        tables=rules.tables.input,
        figures=rules.figures.input,
    output:
        pdf=report(
            f"{STUDY}/paper.pdf",
            caption="../report/paper.rst",
            category="Results",
            labels={"shows": "the paper"},
        ),
    log:
        f"logs/paper/{PLAN['study']}.pdf.log",
    conda:
        "../../envs/latex.yaml"
    params:
        code=PLAN["code"]["paper"],
    message:
        "Typesetting the paper"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix report pdf --plan "$TOKENMIX_PLAN" > {log:q} 2>&1'


rule judge:
    """Fail where a claim fails and the study does not allow it; only now, so that the PDF is there and shows it."""
    input:
        claims=rules.claims.output.json,
        pdf=rules.pdf.output,
    output:
        text=f"{STUDY}/paper/judgement.txt",
    log:
        f"logs/paper/{PLAN['study']}.judge.log",
    conda:
        "../../envs/tokenmix.yaml"
    params:
        code=PLAN["code"]["claims"],
        may_fail=PLAN["claims"]["may_fail"],
    message:
        "Judging the claims of the paper"
    shell:
        # the list of failed claims is for the screen as well
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix report judge --plan "$TOKENMIX_PLAN" 2>&1 | tee {log:q}'


rule paper:
    """The PDF, and no claim in it that the results contradict."""
    input:
        rules.pdf.output,
        rules.judge.output,
