# Each target installs what it needs into .venv, from requirements.lock.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := 0.13.9

.PHONY: setup demo test check bench lock docs-reference clean
.DEFAULT_GOAL := help

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(BIN)/facescan: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "facescan needs Python 3.11 or newer; name one: make PYTHON=python3.13" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $(BIN)/facescan

setup: $(BIN)/facescan ## install everything into .venv

demo: setup ## six verifications at once, on this machine, with Python alone
	@$(BIN)/facescan demo

test: setup ## every test, on the embedded broker and on a real Apache Kafka
	@$(BIN)/pytest

check: setup ## types, lint, format, import rules, generated documents
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m cli.reference --check

bench: setup ## own time of a verification, embedded and on real parts
	@$(BIN)/python -m bench.loop

lock: setup ## resolve requirements.lock again, within pyproject.toml's bounds
	@$(BIN)/uv pip compile --quiet pyproject.toml --all-extras --generate-hashes --universal \
	  --python-version 3.11 --no-header --no-annotate --upgrade --output-file requirements.lock

docs-reference: setup ## write the generated documents (schemas, AsyncAPI, settings)
	@$(BIN)/python -m cli.reference

clean: ## remove the environment and what runs have left
	@rm -rf $(VENV) .facescan .pytest_cache .mypy_cache .ruff_cache
