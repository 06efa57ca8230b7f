# `make help` lists the targets. Everything runs in .venv, which is created from requirements.txt on first use. Tools for
# development come from requirements-dev.txt.
CONFIG ?=
PHOTOS ?=
CHECKPOINT ?=
RUN ?=
SET ?=
# The first of these that is Python 3.11, 3.12 or 3.13; `make train PYTHON=...` chooses another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
quoted = '$(subst ','\'',$(1))'
OPTIONS = $(if $(CONFIG),--config $(call quoted,$(CONFIG))) $(if $(RUN),--run $(call quoted,$(RUN))) \
	$(if $(PHOTOS),--set $(call quoted,photos=$(PHOTOS))) \
	$(if $(CHECKPOINT),--set $(call quoted,checkpoint=$(CHECKPOINT))) $(if $(SET),--set $(SET))
# The names of the variables that were given on the command line, not in the environment.
GIVEN = $(strip $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name))))
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev train beyond bench test check lab notebooks docs requirements clean

## First steps, e.g. make train PHOTOS=~/Pictures/birds RUN=runs/birds SET="seed=1 epochs=30"

# Prints the "##" lines as titles, and each target with the text after its "##".
help:  ## list these targets (default)
	@awk -F ':[^#]*## ' '/^## / { print "\n" substr($$0, 4) } /^[a-z-]+:.*## / { printf "  %-14s%s\n", $$1, $$2 }' Makefile

# A checkout does not keep time stamps. So .venv keeps a copy of the files it was made from, and they are compared.
# Most modules are never imported: --no-compile leaves compiling to the first import, and PYTHONDONTWRITEBYTECODE must
# not prevent that. The C++ headers (430 MB) only serve to build custom TensorFlow operations, so they are removed.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
setup:  ## create or update .venv (the other targets do this when needed)
	@$(if $(and $(GIVEN),$(PYTHON)),PYTHONPATH=. $(PYTHON) scripts/check_variables.py "$(MAKECMDGOALS)" $(GIVEN))
	@cat requirements.txt pyproject.toml | cmp -s - .venv/made_from || { set -e; \
	[ -n "$(PYTHON)" ] || { echo 'No Python 3.11, 3.12 or 3.13 was found: install one, or set PYTHON=/path/to/python' >&2; exit 1; }; \
	echo 'Creating .venv with $(PYTHON): about 2 GB, a few minutes, only once.'; \
	$(PYTHON) -m venv --clear .venv; \
	$(PIP) -r requirements.txt; \
	$(PIP) --no-deps -e .; \
	rm -rf .venv/lib/python3*/site-packages/tensorflow/include; \
	$(BIN)/python -c 'import bears_tl.tensorflow'; \
	cat requirements.txt pyproject.toml > .venv/made_from; }

train: setup  ## run notebooks 01 to 07: [CONFIG=] [PHOTOS=] [CHECKPOINT=] [RUN=] [SET=]
	@$(BIN)/python scripts/run_notebooks.py $(OPTIONS)

lab: setup-dev  ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/notebooks/01_fetch.ipynb

## Studies, e.g. make beyond RUN=runs/birds

beyond: setup  ## run notebooks 08 to 10 on a trained run: [CONFIG=] [RUN=] [SET=]
	@$(BIN)/python scripts/run_notebooks.py $(notdir $(basename \
	$(wildcard notebooks/08_*.ipynb notebooks/09_*.ipynb notebooks/10_*.ipynb))) $(OPTIONS)

bench: setup  ## run the benchmark: [PHOTOS=] [CHECKPOINT=]
	@$(BIN)/bears benchmark --peers $(if $(PHOTOS),--photos $(call quoted,$(PHOTOS))) \
	$(if $(CHECKPOINT),--checkpoint $(call quoted,$(CHECKPOINT)))

## Upkeep, e.g. make test

setup-dev: setup  ## add development tools to .venv: JupyterLab, pytest, ruff, Ray
	@cmp -s requirements-dev.txt .venv/dev_made_from || { set -e; \
	echo 'Adding development tools to .venv: 0.6 GB, about a minute, only once.'; \
	$(PIP) -r requirements-dev.txt; \
	cp requirements-dev.txt .venv/dev_made_from; }

test: check  ## run check, then all tests, including the notebooks
	@$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal

check: setup-dev  ## run ruff; check that the notebooks and the tables in docs/ are current
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python scripts/sync_notebooks.py --check
	@$(BIN)/python scripts/write_docs.py --check

notebooks: setup-dev  ## write every notebooks/NAME.ipynb from its NAME.py
	@$(BIN)/python scripts/sync_notebooks.py

docs: setup  ## write the generated tables of results/ into docs/
	@$(BIN)/python scripts/write_docs.py

LOCK := uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --upgrade pyproject.toml
LOCKED := \# Exact versions for Python 3.11 to 3.13; written from pyproject.toml by `make requirements`. Do not edit by hand.
requirements:  ## update requirements*.txt from pyproject.toml (needs uv)
	@set -e; new=$$(mktemp -d); trap 'rm -r "$$new"' EXIT; \
	$(LOCK) --output-file "$$new/all" > /dev/null; \
	$(LOCK) --extra dev --constraint "$$new/all" --output-file "$$new/dev" > /dev/null; \
	{ echo '$(LOCKED)'; cat "$$new/all"; } > requirements.txt; \
	{ echo '$(LOCKED)'; echo '-r requirements.txt'; grep -vxFf "$$new/all" "$$new/dev"; } > requirements-dev.txt

clean:  ## delete .venv, runs and caches; keep photos and checkpoints
	rm -rf .venv data/cache .pytest_cache .ruff_cache *.egg-info
	find runs -mindepth 1 ! -name README.md -delete
