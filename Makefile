# `make help` lists what can be made. Everything runs in .venv, which is made from requirements.txt when it is needed;
# what development adds comes from requirements-dev.txt.
CONFIG ?= configs/sample.yaml
PHOTOS ?=
CHECKPOINT ?=
RUN ?=
SET ?=
# The first of these that is Python 3.11, 3.12 or 3.13; name another with `make train PYTHON=...`.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
OPTIONS = $(if $(PHOTOS),--set photos="$(PHOTOS)") $(if $(CHECKPOINT),--set checkpoint="$(CHECKPOINT)") \
	$(if $(RUN),--run "$(RUN)") $(foreach pair,$(SET),--set $(pair))
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev train beyond bench test check lab notebooks docs requirements clean

help:  ## list these commands
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 16
	@echo 'For example: make train PHOTOS=~/Pictures/birds CHECKPOINT=random RUN=runs/birds SET="seed=1 epochs=30"'

# Time stamps mean nothing after a checkout, so the files that .venv was made from are kept in it and compared.
# Most modules are never imported, so each is compiled when it first is, whatever the shell says of that; and the C++
# headers for operations of one's own (430 MB) are TensorFlow's, not ours.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
setup:  ## make or renew .venv with what the notebooks need (the other commands do it when it is needed)
	@cat requirements.txt pyproject.toml | cmp -s - .venv/made_from || { set -e; \
	[ -n "$(PYTHON)" ] || { echo 'No Python 3.11, 3.12 or 3.13 was found: install one, or name it with PYTHON=...' >&2; exit 1; }; \
	echo 'Making .venv with $(PYTHON): about 2 GB, some minutes, once.'; \
	$(PYTHON) -m venv --clear .venv; \
	$(PIP) -r requirements.txt; \
	$(PIP) --no-deps -e .; \
	rm -rf .venv/lib/python3*/site-packages/tensorflow/include; \
	$(BIN)/python -c 'import bears_tl.tensorflow'; \
	cat requirements.txt pyproject.toml > .venv/made_from; }

setup-dev: setup  ## add what development needs: JupyterLab, pytest, ruff, Ray and others (test, check, lab and notebooks do it)
	@cmp -s requirements-dev.txt .venv/dev_made_from || { set -e; \
	echo 'Adding what development needs to .venv: 0.6 GB, a minute, once.'; \
	$(PIP) -r requirements-dev.txt; \
	cp requirements-dev.txt .venv/dev_made_from; }

train: setup  ## run notebooks 01 to 07 headless: make train [CONFIG=...] [PHOTOS=...] [CHECKPOINT=...] [RUN=...]
	@$(BIN)/python scripts/run_notebooks.py --config $(CONFIG) $(OPTIONS)

beyond: setup  ## then 08 and 09 on what that left: make beyond [CONFIG=...] [RUN=...] [SET=...]
	@$(BIN)/python scripts/run_notebooks.py $(notdir $(basename $(wildcard notebooks/08_*.ipynb notebooks/09_*.ipynb))) \
	--config $(CONFIG) $(OPTIONS)

bench: setup  ## measure it against its alternatives: make bench [PHOTOS=...] [CHECKPOINT=...]
	@$(BIN)/bears benchmark --peers $(if $(PHOTOS),--photos "$(PHOTOS)") $(if $(CHECKPOINT),--checkpoint "$(CHECKPOINT)")

test: check  ## ruff, then every test, the notebooks included
	@$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal

check: setup-dev  ## ruff, the notebooks' two sides, and the tables of docs/
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python scripts/sync_notebooks.py --check
	@$(BIN)/python scripts/write_docs.py --check

lab: setup-dev  ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/notebooks/01_fetch.ipynb

notebooks: setup-dev  ## write notebooks/NAME.ipynb from notebooks/NAME.py
	@$(BIN)/python scripts/sync_notebooks.py

docs: setup  ## write the generated tables of results/ into docs/
	@$(BIN)/python scripts/write_docs.py

LOCK := uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --upgrade pyproject.toml
LOCKED := \# Exact versions for Python 3.11 to 3.13; written from pyproject.toml by `make requirements`. Do not edit by hand.
requirements:  ## renew requirements.txt and requirements-dev.txt from the ranges in pyproject.toml (needs uv)
	@set -e; new=$$(mktemp -d); trap 'rm -r "$$new"' EXIT; \
	$(LOCK) --output-file "$$new/all" > /dev/null; \
	$(LOCK) --extra dev --constraint "$$new/all" --output-file "$$new/dev" > /dev/null; \
	{ echo '$(LOCKED)'; cat "$$new/all"; } > requirements.txt; \
	{ echo '$(LOCKED)'; echo '-r requirements.txt'; grep -vxFf "$$new/all" "$$new/dev"; } > requirements-dev.txt

clean:  ## remove .venv, runs and caches; photos and checkpoints stay
	rm -rf .venv data/cache .pytest_cache .ruff_cache *.egg-info
	find runs -mindepth 1 ! -name README.md -delete
