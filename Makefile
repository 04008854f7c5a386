# Every target sets up what it needs by itself. Needed on the machine: Python 3.11, make, pip.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
READY := $(VENV)/.ready
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable
export STOCKFC_DATA ?= data

.PHONY: setup demo ui test test-services lint audit bench clean

demo: $(RUNS)  ## ten years of prices, a model, a forecast and a report on the embedded market
	STOCKFC_ENV=local STOCKFC_SOURCE=simulated $(BIN)/stockfc demo

ui: $(RUNS)  ## Dagster's web server and daemon on http://127.0.0.1:3000
	$(BIN)/stockfc ui

test: $(READY)  ## the test suite: what needs no server and no minutes
	$(BIN)/pytest -n 2 --dist loadfile

test-services: $(READY)  ## the rest: PostgreSQL, S3, Dask, the function, faults; installs and starts what it needs
	sh .ci/chromium
	$(BIN)/pytest -n 2 --dist loadfile -m "service or browser"

lint: $(READY)  ## style, imports, walls, loadable definitions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	env -u DAGSTER_HOME STOCKFC_DATA=build/lint $(BIN)/dagster definitions validate -w workspace.yaml

audit: $(READY)  ## known weaknesses of the pinned packages; asks PyPI
	PIP_AUDIT=$(BIN)/pip-audit .ci/audit

bench: $(READY)  ## what is measured, as a table with the machine
	$(BIN)/python -m benchmarks

setup: $(READY)

$(RUNS): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) '.[train,web]'
	touch $(RUNS)

$(READY): $(RUNS)
	$(INSTALL) '.[dev]'
	touch $(READY)

clean:  ## the virtual environment and caches; never the data
	rm -rf $(VENV) build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
