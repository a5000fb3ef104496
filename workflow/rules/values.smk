"""Metrics become values, sentences of findings, tested claims, and the appendix that each number links to."""


rule values:
    """The registry: every number of the paper with its unit, n, formula and runs; and the sentences of findings."""
    input:
        metrics=METRICS,
        switches=SWITCHES,
        reported=rules.table_of_reported.output,
        profile=rules.profile.output,
        cards=list(CARDS.values()),
        attested=ATTESTED,
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
        presented=presented,
        about=about,
        code=PLAN["code"]["values"],
    message:
        "Collecting the values of the paper"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix report values --plan "$TOKENMIX_PLAN" > {log:q} 2>&1'


rule runs_appendix:
    """The appendix that every number links to: runs, seeds, data, code, and the commit that computed them."""
    input:
        values=rules.values.output.json,
        metrics=METRICS,
        profile=rules.profile.output,
        cards=list(CARDS.values()),
        attested=ATTESTED,
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
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix report runs --plan "$TOKENMIX_PLAN" > {log:q} 2>&1'


rule claims:
    """The statements of the manuscript, tested: which hold, which fail, which cannot be decided, and the evidence."""
    input:
        claims="paper/claims.yaml",
        values=rules.values.output.json,
        metrics=METRICS,
    output:
        json=f"{STUDY}/paper/claims.json",
        tex=f"{STUDY}/paper/claims.tex",
        evidence=f"{STUDY}/paper/claims_evidence.tex",
    log:
        f"logs/paper/{PLAN['study']}.claims.log",
    conda:
        "../../envs/tokenmix.yaml"
    params:
        code=PLAN["code"]["claims"],
    message:
        "Testing the claims of the paper"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix report claims --plan "$TOKENMIX_PLAN" > {log:q} 2>&1'
