# Two commands for a newcomer: make run, make test.  Each makes .venv first where it is missing.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable
WORKERS ?= 2

.PHONY: run test docs lint unit bench coverage golden edges fuzz fuzz-sizes notebooks site release clean

run: .venv/.runs
	$(BIN)/derivcheck run

test: lint unit

# Writes docs/gallery/; the tests compare it.
docs: .venv/.tests
	$(BIN)/python -m docs.make

lint: .venv/.tests
	$(BIN)/ruff check derivcheck tests examples benchmarks docs/make release setup.py
	$(BIN)/ruff format --check derivcheck tests examples benchmarks docs/make release setup.py
	$(BIN)/mypy

# A thread a worker: torch in each would take every core, and wait for the others.
unit: .venv/.tests
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/pytest -n $(WORKERS) -q

# Everything in benchmarks/ but the coverage and what needs other projects, one after the other.
BENCHMARKS := $(filter-out __init__ coverage large_table suites liger kernels kernel_domains kernel_numbers memory timing,$(basename $(notdir $(wildcard benchmarks/*.py))))
bench: .venv/.tests
	@for b in $(BENCHMARKS); do echo "== $$b"; $(BIN)/python -m benchmarks.$$b || exit 1; done

coverage: .venv/.tests
	$(BIN)/python -m benchmarks.coverage

# The generated source of twenty layers, anew: read what changed before it is committed.
golden: .venv/.tests
	$(BIN)/python -m tests.codegen.make_golden
	git diff --stat tests/codegen/golden

# Every sample of every row at edge data (minutes); make test takes the first of each.
edges: .venv/.tests
	DERIVCHECK_EDGES=all $(BIN)/pytest -q tests/operators/test_edges.py tests/operators/test_edge_fills.py tests/codegen/test_small_sizes.py

# The nightly search for an unsound rule of the proofs: 50,000 seeds give some 100,000 pairs to judge, terms and claims.
SEEDS ?= 50000
fuzz: .venv/.tests
	$(BIN)/python -m tests.proof.fuzz $(SEEDS)

# The nightly search for code whose sizes are misread: random functions, derived once and held against autograd at ten sizes each.
FUNCTIONS ?= 20000
fuzz-sizes: .venv/.tests
	$(BIN)/python -m tests.tracing.fuzz_sizes $(FUNCTIONS)

# The tutorial's notebooks, executed in place: what they show stands in the files.
notebooks: .venv/.docs
	$(BIN)/python -m release.notebooks

# All pages as one site in site/, which loads nothing from a network; a broken link ends it.
site: .venv/.docs
	$(BIN)/sphinx-build -q -W --keep-going -c docs . site
	@echo "site/docs/index.html"

# Before a release: what is too slow for make test.  What is skipped is listed with its reason, and counted.
RELEASE_SEEDS ?= $(SEEDS)
RELEASE_KILLS ?= 6
RELEASE_KILLS_RESUMED ?= 50
release: .venv/.docs
	RELEASE_SEEDS=$(RELEASE_SEEDS) RELEASE_KILLS=$(RELEASE_KILLS) RELEASE_KILLS_RESUMED=$(RELEASE_KILLS_RESUMED) $(BIN)/pytest -v -rs --durations=5 release

clean:
	rm -rf .venv derivcheck-out site jupyter_execute build dist *.egg-info

# A stamp is newer than the files that say what to install; a second run starts at once.
.venv/.runs: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing derivcheck and what it needs into .venv (a few minutes the first time)"
	$(INSTALL) .
	@touch $@

.venv/.tests: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing derivcheck, what it needs and its test tools into .venv (a few minutes the first time)"
	$(INSTALL) '.[test]'
	@touch $@ .venv/.runs

.venv/.docs: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing derivcheck, its test tools and what makes its pages into .venv (a few minutes the first time)"
	$(INSTALL) '.[test,docs]'
	@touch $@ .venv/.tests .venv/.runs

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "derivcheck needs Python 3.11 or newer; found %s. Set PYTHON=" % sys.version.split()[0])'
	$(PYTHON) -m venv .venv
