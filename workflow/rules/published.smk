"""The published study beside ours: its scores, and what its protocol does otherwise."""


rule table_of_switches:
    """The differences to the published protocol: what each does, and what it is worth where the study trained it."""
    input:
        metrics=SWITCHES,
        attestations=expand("{run}/run.json", run=SWITCHED_RUNS),
        cards=SWITCHED_CARDS,
    output:
        tex=f"{STUDY}/paper/tables/switches.tex",
        csv=report(
            f"{STUDY}/paper/tables/switches.csv",
            caption="../report/switches.rst",
            category="Tables",
            labels={"table": "switches"},
        ),
    log:
        f"logs/tables/{PLAN['study']}.switches.log",
    conda:
        "../../envs/tokenmix.yaml"
    params:
        shape=json.dumps([PLAN["switches"], PLAN["protocol"]]),
        remedies=remedies,
        about=about,
        code=PLAN["code"]["tables"],
    message:
        "Writing the table of switches"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix report table switches --plan "$TOKENMIX_PLAN" > {log:q} 2>&1'


rule table_of_reported:
    """The published values beside the study's own cells, and against the noise of its seeds."""
    input:
        metrics=METRICS,
        published=PUBLISHED,
        attested=ATTESTED,
        cards=list(CARDS.values()),
    output:
        tex=f"{STUDY}/paper/tables/reported.tex",
        csv=report(
            f"{STUDY}/paper/tables/reported.csv",
            caption="../report/reported.rst",
            category="Tables",
            labels={"table": "reported"},
        ),
        noise=f"{STUDY}/paper/tables/reported_noise.csv",
    log:
        f"logs/tables/{PLAN['study']}.reported.log",
    conda:
        "../../envs/tokenmix.yaml"
    params:
        remedies=remedies,
        about=about,
        code=PLAN["code"]["reported"],
    message:
        "Holding reported against reproduced values"
    shell:
        'PYTHONSAFEPATH=1 PYTHONPATH="$TOKENMIX_CODE" python -m tokenmix report reported --plan "$TOKENMIX_PLAN" > {log:q} 2>&1'
