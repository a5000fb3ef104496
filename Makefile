# Two commands do everything: `make paper` and `make test`. Each sets up what it needs first.
#   make paper STUDY=mini     another study (demo, mini, full, or a file of workflow/studies)
#   make paper FROM=FILE      from an archive of results, without training
#   make report               one HTML page to browse all of its results
#   make archive              arxiv.tar.gz and archive.zip of a study

STUDY ?= demo
BIN := .venv/bin

.PHONY: env tex paper archive crate report test lint fuzz faults bench clean

env: .venv/ready

# The stamp is newer than the lock once everything in the lock is installed; a second call does nothing.
.venv/ready: envs/requirements.lock pyproject.toml
	envs/setup python
	touch $@

tex:
	@envs/setup latex

paper: env tex
ifdef FROM
	study=$$($(BIN)/tokenmix archive restore "$(FROM)") && $(BIN)/snakemake paper --logger rich --config study=$$study
else
	$(BIN)/snakemake paper --logger rich --config study=$(STUDY)
endif

# The results alone, a zipped RO-Crate: make crate
archive crate: env tex
	$(BIN)/snakemake $@ --logger rich --config study=$(STUDY)

report: env
	$(BIN)/snakemake report_page --logger rich --config study=$(STUDY)

# Three workers for two cores: one of them mostly waits for SLURM.
test: env tex
	$(BIN)/python -m pytest -n 3

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/tokenmix report check

# Ten minutes of random input by two workers; the suite does one minute of it.
fuzz: env
	TOKENMIX_FUZZ_SECONDS=1200 $(BIN)/python -m pytest -n 2 tests/fuzz

# Every fault twenty times, and the table of docs/faults.md; hours.
faults: env
	$(BIN)/python -m tests.faults --out docs/faults.md

bench: env
	$(BIN)/python -m benchmarks

# Keeps downloads and prepared data (data/); removes the environment and every result.
clean:
	rm -rf .venv .snakemake results logs
