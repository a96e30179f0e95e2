# Everything a new machine needs is Python 3.11+ and make; the rest is installed into .venv from the hashed locks.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEEDS ?= 0..99999

.PHONY: demo test test-extra check format soak scenarios simulate mutants search fuzz bench bench-peers anomaly-bench lock clean help

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.installed: requirements.lock requirements-data.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-data.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(VENV)/.installed ## a year of real readings through the whole pipeline
	$(BIN)/carbonledger demo $(if $(DAYS),--days $(DAYS))
	@echo "The dashboards, for any browser: $$($(BIN)/carbonledger dashboards preview)"

test: $(VENV)/.installed ## the tests, with a real broker
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not broker"
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder -m broker

test-extra: $(VENV)/.installed ## tests that need a Debian package, another language or minutes
	PATH="$(PATH):/usr/local/go/bin" $(BIN)/python -m pytest --extra

check: $(VENV)/.installed ## format, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed ## apply the formatter and the safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

soak: $(VENV)/.installed ## twenty demonstrations, each with a kill -9 of every kind of process
	$(BIN)/python -m tests.soak

scenarios: $(VENV)/.installed ## crashes, lies and lost disks with seven real processes
	$(BIN)/python -m tests.scenarios

simulate: $(VENV)/.installed ## many seeds of the committee's simulator
	$(BIN)/carbonledger simulate --seeds $(SEEDS)

mutants: $(VENV)/.installed ## each point of the protocol broken on purpose; its test must fail
	$(BIN)/python -m tests.mutants

search: $(VENV)/.installed ## every interleaving of a small committee, within bounds
	$(BIN)/python -m consensus.exhaustive --views 3 --checkpoints
	$(BIN)/python -m consensus.exhaustive --views 2 --heights 2 --votes-only
	$(BIN)/python -m consensus.exhaustive --views 2 --heights 2

fuzz: $(VENV)/.installed ## damaged bytes for every decoder and a replica, for as long as it takes (hours)
	FUZZ=1 $(BIN)/python -m pytest --timeout=0 tests/fuzz

bench: $(VENV)/.installed ## one table of rates and ratios; latency when idle, gaps when members are killed
	$(BIN)/python -m tests.benchmarks
	$(BIN)/python -m tests.benchmarks.liveness --seconds $(or $(STEADY),60)

anomaly-bench: $(VENV)/.installed ## kinds of fraud and fault planted in honest series: found, how late, false alarms
	$(BIN)/python -m tests.benchmarks.kinds --seeds $(or $(SEEDS_EACH),2) $(if $(WRITE),--write)

PEERS := tests/benchmarks/peers

var/peers/.installed: $(PEERS)/requirements.lock
	test -x var/peers/bin/python || $(PYTHON) -m venv var/peers
	var/peers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

bench-peers: $(VENV)/.installed var/peers/.installed ## ingest beside Quix Streams and Bytewax, which get an environment of their own
	$(BIN)/python -m tests.benchmarks.peers

lock: ## renew the hashed locks (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group build --group test --group check pyproject.toml -o requirements.lock
	echo 'simbench==1.6.3' | uv pip compile -q --no-deps --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header - -o requirements-data.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(PEERS)/requirements.in -o $(PEERS)/requirements.lock

clean: ## remove the environment and all data
	rm -rf $(VENV) var
