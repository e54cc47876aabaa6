# Every command sets up what it needs. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A folder of published policy texts, NUMBER.source.txt, to hold the documents' citations against.
TEXTS ?=
PYTEST_OPTIONS := $(if $(TEXTS),--published-texts=$(TEXTS))
JARS := deploy/kafka/target/libs/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-kafka test-faults test-slow bench bench-scale lint schemas lock kafka-jars clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: $(READY) ## the virtual environment, pinned by hash

$(READY): deploy/requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; try make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement deploy/requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(JARS): deploy/kafka/pom.xml
	mvn --quiet --batch-mode --file deploy/kafka/pom.xml dependency:copy-dependencies
	touch $@

kafka-jars: $(JARS) ## Apache Kafka's jars, by Maven

demo: $(READY) ## requests in, decisions out, on the embedded broker
	$(BIN)/dli demo

lint: $(READY) ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint ## all tests that need no JVM
	$(BIN)/pytest -m "not slow and not kafka and not faults" -n auto --dist loadgroup $(PYTEST_OPTIONS)

test-kafka: $(READY) $(JARS) ## the worker's promises on Apache Kafka
	$(BIN)/pytest -m "(broker or kafka) and not slow and not faults" --broker kafka $(PYTEST_OPTIONS)

test-faults: $(READY) $(JARS) ## break workers, brokers, disks and time on Apache Kafka, and count
	$(BIN)/pytest tests/faults -m faults --broker kafka $(FAULTS)

bench: $(VENV)/.bench $(JARS) ## measure, beside others, in one run on Apache Kafka
	$(BIN)/python -m tests.benchmarks $(BENCH)

bench-scale: $(READY) $(JARS) ## what a request costs when there are more of them, and more partitions
	$(BIN)/python -m tests.benchmarks.scale $(SCALE)

$(VENV)/.bench: $(READY) deploy/requirements/bench.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement deploy/requirements/bench.txt
	touch $@

test-slow: $(READY) ## the exhaustive tests of minutes
	$(BIN)/pytest -m slow

schemas: $(READY) ## write the JSON Schemas of events and of the policy document
	$(BIN)/dli schemas write

lock: $(READY) ## pin the dependencies again, with hashes and no index
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra embedded --extra replay --group dev pyproject.toml --output-file deploy/requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra embedded --extra replay --group dev --group bench --constraint deploy/requirements/dev.txt pyproject.toml \
		--output-file deploy/requirements/bench.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		pyproject.toml --output-file deploy/requirements/runtime.txt

clean: ## remove what the commands made
	rm -rf $(VENV) deploy/kafka/target var .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
