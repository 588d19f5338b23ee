# `make demo` runs the quickstart notebook, `make test` runs all checks, `make check` the quick ones while you work; each
# makes the environment if it is missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Two processes of one thread each: two of many threads would wait for each other.
SHARED := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2
# What a change of the library breaks first; tests/test_architecture.py says where a line belongs.
QUICK := tests/kernels tests/test_architecture.py tests/detectors/test_foreign.py tests/detectors/test_every_detector.py

.PHONY: demo check test lint types lab notebooks outputs site gpu-check help

help:
	@echo "make demo       explain a bundled picture: executed notebook, HTML and heat maps under runs/"
	@echo "make check      the quick checks: style, types, imports, kernels, the contract of detectors, one notebook"
	@echo "make test       all checks"
	@echo "make site       build the web site from the stored notebooks: build/site/html/index.html"
	@echo "make gpu-check  all that needs a GPU: tests and a benchmark into runs/gpu-check; skips where there is none"
	@echo "make lab        open the notebooks in JupyterLab"
	@echo "make notebooks  run the series by papermill into runs/"
	@echo "make outputs    run the series and store its outputs in notebooks/"

$(VENV)/.notebooks: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[notebooks,detr,pvt,data]'
	touch $@

$(VENV)/.site: $(VENV)/.notebooks
	$(BIN)/pip install --quiet --editable '.[notebooks,detr,pvt,data,cluster,site]'
	touch $@

$(VENV)/.dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[notebooks,detr,pvt,data,cluster,site,dev]'
	touch $(VENV)/.notebooks $(VENV)/.site $@

demo: $(VENV)/.notebooks
	$(BIN)/python tools/notebooks.py run --only 00_quickstart --html

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(VENV)/.dev
	$(BIN)/mypy

check: lint types
	$(SHARED) --dist loadscope --nbval-lax --nbval-current-env notebooks/00_quickstart.ipynb $(QUICK)

test: lint types
	# Not the benchmark: its stored numbers are times; it runs with small parameters among the tests.
	$(SHARED) --dist loadscope --nbval-lax --nbval-current-env notebooks --ignore-glob '*/90_*'
	$(SHARED) --dist worksteal --ignore tests/browser
	$(SHARED) --dist loadscope tests/browser

gpu-check: $(VENV)/.dev
	$(BIN)/python tools/gpu_check.py

lab: $(VENV)/.notebooks
	$(BIN)/jupyter lab notebooks

notebooks: $(VENV)/.notebooks
	$(BIN)/python tools/notebooks.py run

outputs: $(VENV)/.dev
	$(BIN)/python tools/notebooks.py store

site: $(VENV)/.site
	$(BIN)/python tools/build_site.py
