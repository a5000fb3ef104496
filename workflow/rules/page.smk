"""Everything becomes one HTML page to browse."""


rule report_page:
    """All cells and runs with scores, learning curves and provenance, published values, claims: one file, no network."""
    input:
        values=rules.values.output.json,
        claims=rules.claims.output.json,
        reported=rules.table_of_reported.output,
        metrics=METRICS,
        cards=list(CARDS.values()),
        attested=ATTESTED,
    output:
        html=report(
            f"{STUDY}/report.html",
            caption="../report/page.rst",
            category="Results",
            labels={"shows": "all cells and runs"},
        ),
    log:
        f"logs/page/{PLAN['study']}.log",
    conda:
        "../../envs/tokenmix.yaml"
    params:
        code=PLAN["code"]["page"],
    message:
        "Writing the page of results"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix report page --plan "$TOKENMIX_PLAN" > {log:q} 2>&1'
