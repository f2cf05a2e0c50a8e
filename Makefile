# Each target installs what it needs into .venv, from requirements.lock.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := 0.13.9

# Where it is set, each process of a system would compile every library anew, which takes longer than its start.
export PYTHONDONTWRITEBYTECODE :=

# Two processes for the tests of whole systems and of brokers, one for the rest: see tests/conftest.py.
TESTS_SIDE_BY_SIDE ?= 3

FRONT  := services/session/frontend
PAGE   := services/session/static/.vite/manifest.json

.PHONY: setup demo demo-browser page page-where-node-is test check bench bench-inbox bench-post soak mutation fuzz lock site sbom docs-reference clean
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

demo-browser: setup page ## one verification in a real Chromium before a fake camera
	@$(BIN)/facescan demo --browser

page: $(PAGE) ## build the scan page's program, with Node 18.19 or newer; without it the page is plain HTML

$(PAGE): $(shell find $(FRONT) -name node_modules -prune -o -type f -print)
	@command -v npm >/dev/null || \
	  { echo "make page needs Node 18.19 or newer with npm; without it the scan page is plain HTML" >&2; exit 1; }
	@cd $(FRONT) && npm ci --silent && npm run --silent build >/dev/null
	@touch $(PAGE)

page-where-node-is:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory page; \
	  else echo "no Node: the scan page's program is neither built nor tested" >&2; test -z "$$CI"; fi

test: setup page-where-node-is ## every test, on the embedded broker and on a real Apache Kafka
	@$(BIN)/pytest --numprocesses $(TESTS_SIDE_BY_SIDE) --no-loadscope-reorder

check: setup ## types, lint, format, import rules, generated documents
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m cli.reference --check
	@$(BIN)/python -m deploy.write --check

bench: setup ## own time of a verification, embedded and on real parts
	@$(BIN)/python -m bench.loop

bench-inbox: setup ## the front door's CPU a message beside the least that a server can do
	@$(BIN)/python -m bench.inbox

bench-post: setup ## Async Post's CPU a message beside the least that a sender can do, and its latency
	@$(BIN)/python -m bench.post

soak: setup ## mixed traffic, kills, rotations, slow receivers and junk for MINUTES=10; an account at the end
	@$(BIN)/python -m bench.soak --minutes $(or $(MINUTES),10)

# A mutant has the size and nearly the age of what it stands for: no bytecode may be taken for its own.
mutation: export PYTHONDONTWRITEBYTECODE := 1
mutation: setup ## change the verdict's rules one by one; a test must notice, for nine of ten changes at least
	@$(BIN)/python -m tests.support.mutation

fuzz: setup ## throw broken requests at the front door: MINUTES=10, or COUNT=200000
	@$(BIN)/python -m bench.fuzz $(if $(COUNT),--count $(COUNT),--minutes $(or $(MINUTES),1))

lock: setup ## resolve requirements.lock again, within pyproject.toml's bounds
	@$(BIN)/uv pip compile --quiet pyproject.toml --all-extras --generate-hashes --universal \
	  --python-version 3.11 --no-header --no-annotate --upgrade --output-file requirements.lock

site: setup ## the documents as a site, in build/site
	@$(BIN)/python -m deploy.site build/site-source
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

sbom: setup ## what the image is made of (CycloneDX), in build/sbom.cdx.json; fails at a licence that is not allowed
	@$(BIN)/python -m deploy.sbom

docs-reference: setup ## write the generated documents (schemas, AsyncAPI, OpenAPI, settings)
	@$(BIN)/python -m cli.reference
	@$(BIN)/python -m deploy.write

clean: ## remove the environment and what runs have left
	@rm -rf $(VENV) $(FRONT)/node_modules services/session/static .facescan .pytest_cache .mypy_cache .ruff_cache
