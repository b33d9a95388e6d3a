# Relaydesk. `make` alone lists what can be done; everything works on a machine with Python 3.11 to 3.14 and make.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.relaydesk-ready
UV     := $(shell command -v uv 2>/dev/null)
DISTS  := shared services/intake services/classifier services/router services/sla-monitor services/handoff deploy
LOCKS  := requirements/build.lock requirements/dev.lock
# A service's own lock leaves these out: training, the facts and the review need them.
EXTRAS := --extra train --extra facts --extra charts
COMPOSE := docker compose -f deploy/compose/compose.yaml
PYTHONS := python3 python3.14 python3.13 python3.12 python3.11 python

.PHONY: help setup lint format test run replay review baseline up down bench chaos schemas dashboards lock clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make the environment in .venv from the hash lock (seconds when nothing changed)
	@echo "$(VENV) is ready."

run: $(READY) ## Start everything, play a week of a support desk, stay up until Ctrl-C
	@$(PY) -m relaydesk_replay run

replay: $(READY) ## Play a file to its end: FEED=FILE [OUT=DIR] [LIMIT=N] [AGREEMENT=FILE] [WATCH=1]
	@test -n "$(FEED)" || { echo "make replay needs a file: make replay FEED=log.csv.gz (or FEED=week)" >&2; exit 2; }
	@$(PY) -m relaydesk_replay replay "$(FEED)" $(if $(OUT),--out "$(OUT)") $(if $(LIMIT),--limit $(LIMIT)) \
		$(if $(AGREEMENT),--agreement "$(AGREEMENT)") $(if $(WATCH),--watched)

review: $(READY) ## The review of both sides: MONTH=2016-03 or QUARTER=2016-Q1 [FROM=a replay's OUT] [TO=DIR]
	@test -n "$(MONTH)$(QUARTER)" || { echo "make review needs a period: make review MONTH=2016-03 (or QUARTER=2016-Q1)" >&2; exit 2; }
	@$(PY) -m relaydesk_replay review $(if $(MONTH),--month "$(MONTH)",--quarter "$(QUARTER)") \
		$(if $(FROM),--from "$(FROM)") $(if $(TO),--to "$(TO)")

baseline: $(READY) ## Before a transition: what a company's own history says: FEED=FILE [TO=DIR]
	@test -n "$(FEED)" || { echo "make baseline needs a file: make baseline FEED=incidents.csv.gz" >&2; exit 2; }
	@$(PY) -m sla_monitor baseline "$(FEED)" --to "$(or $(TO),baseline)"

up: $(READY) ## Start an empty desk in the background, live on the wall clock: [WITH=compose] in containers
	@$(if $(filter compose,$(WITH)),$(COMPOSE) up --build --detach,$(PY) -m relaydesk_replay up)

down: $(READY) ## Stop what `make up` started; its data stays: [WITH=compose]
	@$(if $(filter compose,$(WITH)),$(COMPOSE) down,$(PY) -m relaydesk_replay down)

lint: $(READY) ## Ruff, mypy (strict), and the import contracts
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo

format: $(READY) ## Let ruff put right what it can
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

# Every part runs although one before it failed, and the tests come last: their closing line is the answer. Two files of
# tests at a time, each half with backends of its own: they wait for brokers, clocks and browsers half of their time.
test: $(READY) ## Lint, then every test that can run here; says what was skipped and why
	@lint=0; $(MAKE) lint || lint=$$?; \
	$(PY) -m pytest -rs -n 2 --dist loadfile -m "not bench and not long" $(TESTS); tests=$$?; \
	if [ $$lint -ne 0 ]; then echo "make lint failed: see above" >&2; fi; \
	[ $$lint -eq 0 ] && [ $$tests -eq 0 ]

bench: $(READY) ## Measure speed and memory, each goal beside a baseline in the same run
	$(PY) -m pytest -rs -s -m bench tests/bench

chaos: $(READY) ## The long form of the tests of faults, mutations and zones: hours
	$(PY) -m pytest -rs -m long tests

dashboards: $(READY) ## Write the dashboards and the reference of the metrics anew from the code
	$(PY) -m relaydesk_observe write

schemas: $(READY) ## Write the JSON Schemas, the AsyncAPI and the OpenAPI document anew from the models
	$(PY) -m ticket_contracts.documents --write
	$(PY) -m ticket_handoff openapi > shared/openapi-handoff.json

clean: ## Remove the environment, the desk's data and all caches
	@if [ -x $(PY) ] && [ -d .run ]; then $(PY) -m relaydesk_replay down || true; fi
	rm -rf .run out $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment -------------------------------------------------------------------------------------------------

$(READY): $(LOCKS) $(DISTS:%=%/pyproject.toml)
	@test -x $(PY) || $(if $(UV),$(UV_VENV),{ python=$$($(FIND_PYTHON)) && echo "Making $(VENV) with $$python" && $$python -m venv $(VENV); })
	@echo "Installing what requirements/dev.lock names: about a minute, the first time"
	@{ $(INSTALL) --require-hashes -r requirements/build.lock && \
	   $(INSTALL) --require-hashes --no-build-isolation -r requirements/dev.lock && \
	   $(INSTALL) --no-build-isolation $(DISTS:%=-e %); } || \
	 { echo "The environment is not complete (see above): check network, proxy and disk, then run make again." >&2; exit 1; }
	@touch $@

UV_VENV = $(UV) venv --quiet --seed --python ">=3.11,<3.15" $(VENV)
PIP     = $(PY) -m pip --disable-pip-version-check --retries 2 -qq
INSTALL = $(if $(UV),$(UV) pip install --quiet --python $(PY),$(PIP) install) --no-deps
define FIND_PYTHON
for python in $(PYTHONS); do \
  if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then echo $$python; exit 0; fi; \
done; \
echo "Relaydesk needs Python 3.11 to 3.14 (no wheels of its dependencies for others): install one and run make again." >&2; \
exit 1
endef

UV_TOOL = $(if $(UV),$(UV),$(VENV)/bin/uv)
COMPILE = $(UV_TOOL) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-package relaydesk-shared $(UPGRADE)

lock: $(READY) ## Pin every dependency anew, hashes included: [UPGRADE=--upgrade]
	@test -n "$(UV)" || $(PIP) install uv
	$(COMPILE) $(EXTRAS) $(DISTS:%=%/pyproject.toml) requirements/build.in requirements/dev.in -o requirements/dev.lock
	for service in $(notdir $(filter services/%,$(DISTS))); do \
	  $(COMPILE) -c requirements/dev.lock shared/pyproject.toml services/$$service/pyproject.toml \
	    -o requirements/$$service.lock || exit; \
	done
	$(COMPILE) -c requirements/dev.lock --extra facts shared/pyproject.toml services/sla-monitor/pyproject.toml \
	  -o requirements/facts.lock
	$(COMPILE) -c requirements/dev.lock requirements/build.in -o requirements/build.lock
	$(PY) -m relaydesk_local lock
