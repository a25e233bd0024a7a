# What a person types here; `make help` lists it. Everything made lies in .venv/ and demo/, which
# git ignores. PYTHON=... chooses the Python of .venv; PYTEST_ARGS=... goes to pytest,
# CHAOS_ARGS=... to the long chaos run.

VENV := .venv
PY := $(VENV)/bin/python
# One more than the cores that CI has: acceptance tests wait as much as they compute.
PYTEST_ARGS ?= -n 3 --dist loadfile --no-loadscope-reorder
CHAOS_ARGS ?= --faults 500 --seed 12 --faults-per-slot 3
# Where the driver answers, TensorFlow comes with CUDA's libraries: 2 GB more.
USERS_LOCK ?= $(if $(shell nvidia-smi -L 2>/dev/null | grep GPU),requirements-gpu.lock,requirements.lock)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Importing Keras writes its settings into the home folder unless it is told of another place.
export KERAS_HOME := $(CURDIR)/$(VENV)/keras

# Run, not looked up: pyenv's shims exist for Pythons that do not run, and Debian's python3 may lack
# ensurepip.
FITS := import ensurepip, sqlite3, ssl, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

# $(call install,LOCK): install LOCK and this project, unless that is what was installed last.
# The stamp holds the folder too, because an editable install points at it.
define install
	@set -e; stamp="$(VENV)/.installed-$(1)"; \
	{ echo "$(CURDIR)"; cat $(1) pyproject.toml; } > "$$stamp.new"; \
	if cmp -s "$$stamp.new" "$$stamp"; then rm "$$stamp.new"; exit 0; fi; \
	echo "installing $(1) into $(VENV): TensorFlow and more, some minutes the first time"; \
	$(PY) -m pip install --quiet --require-hashes --requirement $(1); \
	$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .; \
	mv "$$stamp.new" "$$stamp"
endef

.DEFAULT_GOAL := help
.PHONY: help demo test test-chaos test-compose lint format lock clean venv install install-dev

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: install ## search, finalize and score on 1,797 real digits (a few minutes)
	@mkdir -p demo
	$(PY) -m study.demo data demo/data
	$(VENV)/bin/study run --data demo/data --study demo --storage sqlite:///demo/study.db --n-trials 12 --workers auto --seed 0 --finalize --out demo/out
	$(PY) -m study.demo score demo/out/submission.csv demo/answers.csv
	@echo "look at the study in a browser: $(VENV)/bin/study dashboard --storage sqlite:///demo/study.db"

test: lint ## ruff, mypy strict and the whole test suite
	$(PY) -m pytest $(PYTEST_ARGS)

test-chaos: install-dev ## 500 kills, freezes, stops and outages of real studies: half an hour
	$(PY) -m tests.chaos.run $(CHAOS_ARGS)

test-compose: install-dev ## the docker compose stack, for real: needs an engine, and a quarter of an hour
	$(PY) -m pytest tests/compose

lint: install-dev ## ruff and mypy alone
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

format: install-dev ## let ruff mend what it can
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

install: venv ## .venv with what the program needs
	$(call install,$(USERS_LOCK))

install-dev: venv ## .venv with what the tests need too
	$(call install,requirements-dev.lock)

venv:
	@set -e; \
	if [ -z "$(PYTHON)" ]; then set -- python3.13 python3.12 python3.11 python3; else set -- "$(PYTHON)"; fi; \
	if $(PY) -c '$(FITS)' >/dev/null 2>&1; then \
		if [ -z "$(PYTHON)" ] || [ "$(PYTHON)" = "$$(cat $(VENV)/.python 2>/dev/null)" ]; then exit 0; fi; \
	fi; \
	for python in "$$@"; do \
		if "$$python" -c '$(FITS)' >/dev/null 2>&1; then \
			echo "making $(VENV) with $$python ($$("$$python" -c 'import sys; print(sys.version.split()[0])'))"; \
			rm -rf $(VENV); "$$python" -m venv $(VENV); echo "$$python" > $(VENV)/.python; exit 0; \
		fi; \
	done; \
	echo "make: no working Python 3.11, 3.12 or 3.13 with venv among: $$*; name one with PYTHON=/path/to/python" >&2; \
	exit 1

# UPGRADE=--upgrade takes the newest versions; without it, what is locked stays.
LOCK = $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE) pyproject.toml

lock: venv ## write the requirements*.lock files anew from pyproject.toml
	@$(PY) -m uv --version >/dev/null 2>&1 || $(PY) -m pip install --quiet uv
	$(LOCK) --extra demo --output-file requirements.lock >/dev/null
	$(LOCK) --extra demo --extra gpu --constraint requirements.lock --output-file requirements-gpu.lock >/dev/null
	$(LOCK) --extra demo --extra dev --constraint requirements.lock --output-file requirements-dev.lock >/dev/null
	sed '/^scikit-learn==/,/^    # via/d' requirements.lock > $(VENV)/peers-constraint.txt # scikeras needs an older one
	$(LOCK) --extra peers --constraint $(VENV)/peers-constraint.txt --output-file requirements-peers.lock >/dev/null

clean: ## remove everything that was made here
	rm -rf $(VENV) .venv-peers demo build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find benchmarks objectives storage study tests -name __pycache__ -type d -exec rm -rf {} +
