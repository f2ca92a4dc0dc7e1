# recond from a clone. `make run` and `make test` need make and python3 (3.11 or newer, with venv), nothing else.
# ARGS is handed on: `make run ARGS=--once`, `make test ARGS="tests/core -x"`. PYTHON chooses another python3.

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
export PATH := $(PATH):$(CURDIR)/.venv/tools

.PHONY: run test check tools lock

# With keys in the environment: the daemon on that account. Without: the demo, which needs none.
run: .venv/complete
	@if [ -n "$$ALPACA_API_KEY$$ALPACA_SECRET_KEY$$APCA_API_KEY_ID$$APCA_API_SECRET_KEY" ]; \
	then exec $(BIN)/recond run $(ARGS); else exec $(BIN)/recond demo $(ARGS); fi

test: .venv/complete tools
	$(BIN)/pytest $(ARGS)

check: .venv/complete tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	.ci/monitoring
	.ci/unit

# What some tests and checks need and Python does not bring. Without it they are skipped, and this says so.
tools: .venv/complete
	@.ci/tools || true

.venv/complete: requirements-test.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "recond needs Python 3.11 or newer; PYTHON=... chooses one")'
	@echo "Preparing .venv, once ..."
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv --clear .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-test.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# After a change of dependencies; needs uv. The files name no host, so they work with any package index. What runs in
# production is requirements.lock, of the very releases that are tested.
LOCK := uv pip compile pyproject.toml --group build --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --upgrade --quiet
lock:
	$(LOCK) --all-extras --output-file requirements-test.lock
	$(LOCK) --constraint requirements-test.lock --output-file requirements.lock
