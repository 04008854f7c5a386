# Every target sets up what it needs by itself. Needed on the machine: Python 3.11, make, pip.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export STOCKFC_DATA ?= data

.PHONY: setup demo ui test lint bench clean

demo: $(READY)  ## ten years of prices, a model, a forecast and a report on the embedded market
	STOCKFC_ENV=local STOCKFC_SOURCE=simulated $(BIN)/stockfc demo

ui: $(READY)  ## Dagster's web server and daemon on http://127.0.0.1:3000
	$(BIN)/stockfc ui

test: $(READY)  ## the whole test suite
	$(BIN)/pytest -n 2 --dist loadfile

lint: $(READY)  ## style, imports, walls, loadable definitions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	env -u DAGSTER_HOME STOCKFC_DATA=build/lint $(BIN)/dagster definitions validate -w workspace.yaml

bench: $(READY)  ## what is measured, as a table with the machine
	$(BIN)/python -m benchmarks

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

clean:  ## the virtual environment and caches; never the data
	rm -rf $(VENV) build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
