"""The paper, from images to PDF. Table of contents: the plan, the stages in the order of the data, the targets.

snakemake paper                            the embedded study's PDF, on any machine
snakemake paper --config study=mini        another study
snakemake table_classification_4t          one table and only the runs behind it
snakemake report_page                      the HTML page to browse cells, runs, claims and all values
snakemake --profile slurm all              the whole paper on a cluster
"""

import json
import os
import signal
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")  # of the lock; workflow/head.py and cluster.py reach into it

# Only the process that the user starts reads config and code, and freezes what it read; every job that it
# starts, here or on a node, reads that frozen plan. So both may be edited while jobs wait.
if workflow.is_main_process:
    sys.path.insert(0, f"{workflow.basedir}/workflow")
    from cluster import check_cluster, tell_refused_jobs
    from head import begin, stop_if_too_costly

    freeze_files_of_runs = begin(workflow, config)
else:
    # the warning before a time limit is for the training, which writes its state
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


report: "workflow/report/study.rst"


envvars:
    "TOKENMIX_PLAN",
    "TOKENMIX_PACKS",
    "TOKENMIX_CODE",
    "TOKENMIX_CHECKPOINT_SECONDS",
    "TOKENMIX_MIRRORS",
    "TOKENMIX_OFFLINE",


PLAN = json.loads(Path(os.environ["TOKENMIX_PLAN"]).read_text())
config["study"] = PLAN["study"]  # for the page that `snakemake --report` writes


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/packs.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/profile.smk"
include: "workflow/rules/published.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/values.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/page.smk"
include: "workflow/rules/archive.smk"


# seconds each: on a cluster they run beside the head, which needs LaTeX, and wait in no queue
localrules:
    publish,
    rank,
    values,
    table,
    table_of_datasets,
    table_of_reported,
    table_of_switches,
    figure,
    runs_appendix,
    claims,
    pdf,
    judge,
    paper,
    report_page,
    arxiv,
    crate,
    archive,
    tables,
    figures,
    all,


rule all:
    """Everything: the tables as CSV and LaTeX, the figures, the PDF, the page to browse them."""
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        rules.paper.input,
        rules.report_page.output,


onstart:
    stop_if_too_costly(workflow, PLAN)
    check_cluster(workflow)
    freeze_files_of_runs()


onerror:
    tell_refused_jobs(log)
