# Everything here needs only Python >= 3.11, Node 20.19+ or 22.12+, make and git; test-system says what it needs besides.
PYTHON ?= python3
AUDIO ?= tests/data/jfk.wav
export AUDIO
MINUTES ?= 10
SECONDS ?= 60

BIN := .venv/bin
PYTHON_SOURCES = $(shell find gateway transcriber stack openapi tests -name '*.py') pyproject.toml
# Tests that mostly wait for processes, beside those that mostly compute: the two lanes of `make test`.
WAITING := $(addprefix tests/,bench convex journey page)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run demo screenshots test test-computing test-waiting test-oracles test-system contract check audit bills bench storm transcriber-storm fuzz mutants

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what the locks say into .venv and convex/node_modules; the others call it when it is due
	@$(MAKE) --silent -j2 .venv/installed convex/node_modules/.installed

.venv/installed: requirements/dev.lock
.venv/installed: MB = 300
.venv-oracles/installed: requirements/oracles.lock
.venv-oracles/installed: MB = 50
.venv-fuzz/installed: requirements/fuzz.lock
.venv-fuzz/installed: MB = 40

.venv/installed .venv-oracles/installed .venv-fuzz/installed:
	@requirements/machine.sh "$(PYTHON)"
	@echo "Installing the Python packages of $< (some $(MB) MB to fetch) ..."
	@"$(PYTHON)" -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile \
		--require-hashes --only-binary :all: -r $<
	@touch $@

%/node_modules/.installed: %/package-lock.json %/.npmrc
	@requirements/machine.sh "$(PYTHON)"
	@echo "Installing the npm packages of $< ..."
	@cd $* && npm ci --silent --prefer-offline
	@touch $@

run: setup ## start everything on this machine and print the page's address; Ctrl-C ends it
	@$(BIN)/python -m stack run

demo: setup ## transcribe AUDIO (default: a sample) and read its text back from Convex
	@$(BIN)/python -m stack demo --audio "$$AUDIO"

screenshots: setup ## take new pictures of the page for docs/images; look at them before they are committed
	RENEW_SCREENSHOTS=1 $(BIN)/pytest tests/page/test_screenshots.py

test: setup ## every test that needs nothing but this
	@echo "Two lanes of tests, side by side; each tells what came of it when it is done (some 12 minutes) ..."
	@rm -f .coverage .coverage.*
	@$(MAKE) --silent -j2 --output-sync=target test-computing test-waiting
	@$(BIN)/coverage combine --quiet

test-computing:
	$(BIN)/coverage run --parallel-mode -m pytest $(addprefix --ignore=,$(WAITING))

test-waiting:
	npm --prefix convex test
	$(BIN)/coverage run --parallel-mode -m pytest $(WAITING)

test-oracles: .venv-oracles/installed tests/oracles/npm/node_modules/.installed ## the producers' own packages as oracles for signatures, in an environment of their own
	.venv-oracles/bin/pytest tests/oracles

test-system: setup ## the tests that need root and Debian packages: buildah, caddy, debootstrap, nginx, prometheus, strace, systemd
	$(BIN)/pytest -m system

contract: setup ## write what is served of openapi/*.yaml: as JSON, and as pages
	$(BIN)/python -m openapi.build

check: setup ## format, lint, types, import rules, generated files, what breaks the last release's contracts, coverage
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m openapi.build --check
	$(BIN)/python -m openapi.changes
	npm --prefix convex run check
	@$(MAKE) --silent .coverage
	$(BIN)/coverage report

# What `make test` left behind, if it is newer than the code; else the tests run again.
.coverage: $(PYTHON_SOURCES)
	@$(MAKE) --silent test

audit: setup ## what is known against the packages of the locks; fails too where nobody could be asked
	$(BIN)/python -m tests.support.audit

bills: setup ## write anew what the images carry, requirements/*.cdx.json, after a change of the locks
	$(BIN)/python -m tests.support.bill_of_materials

bench: setup ## the benchmarks: a table with ratios, and docs/benchmarks.md; BENCH=--quick for less of it
	$(BIN)/python -m tests.bench $(BENCH)

storm: setup ## kill the gateway at random under load for MINUTES (default: 10), then reconcile; add SEED=n for the same dice
	$(BIN)/python -m tests.support.storm --minutes "$(MINUTES)" $(if $(SEED),--seed "$(SEED)")

transcriber-storm: setup ## the same with the transcriber, its engine and its webhook failing at random
	$(BIN)/python -m tests.support.transcriber_storm --minutes "$(MINUTES)" $(if $(SEED),--seed "$(SEED)")

fuzz: .venv-fuzz/installed ## fuzz the verifiers for SECONDS (default: 60) or with RUNS inputs, guided by what of them is reached
	.venv-fuzz/bin/python -m tests.support.fuzzing "$(SECONDS)" "$(or $(RUNS),0)"

mutants: setup ## break the verifiers in one place after the other, and say what no test noticed
	$(BIN)/python -m tests.support.mutants
