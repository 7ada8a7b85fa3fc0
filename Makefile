# The only commands that anyone must know. `make` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Every start of a program would compile all of it again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test soak fuzz bench check proto openapi api-fuzz lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.ready ## virtual environment with the locked dependencies, and Debian's programs where they can be installed

$(VENV)/.ready: requirements/dev.txt pyproject.toml provisioning/setup.sh
	bash provisioning/setup.sh
	@touch $@

demo: setup ## a whole mesh on this machine; ONCE=1 for one checked pass without a terminal
	@$(PY) -m provisioning.demo $(if $(ONCE),--once)

test: setup ## everything that can be tested here
	@$(PY) -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

bench: setup ## a node beside DCMTK, Orthanc and pynetdicom, in turns; about an hour, ARGS="--rows receive.*" for less
	@$(PY) -m tests.bench $(ARGS)

soak: setup ## a thousand kills of a node's processes in ten runs, 4 GB objects, crowds, an outage (about 40 minutes)
	@SKERRY_CRASH_KILLS=100 SKERRY_CRASH_RUNS=10 $(PY) -m pytest -k whichever_process tests/crash/test_processes_survive_kill.py $(ARGS)
	@SKERRY_CUSTODY_KILLS=100 $(PY) -m pytest tests/crash/test_custody_survives_kill.py --timeout 900 $(ARGS)
	@SKERRY_SOAK=1 $(PY) -m pytest tests/integration/test_large_objects.py tests/integration/test_hostile_crowds.py tests/integration/test_outage.py tests/crash/test_policy_is_whole_at_every_kill.py $(ARGS)

fuzz: setup ## a million mutated PDUs and data sets; SKERRY_FUZZ_CASES and SKERRY_FUZZ_SEED for others
	@SKERRY_FUZZ_CASES=$${SKERRY_FUZZ_CASES:-1000000} $(PY) -m pytest -n 2 tests/fuzz $(ARGS)

check: setup ## ruff, mypy --strict, import contracts, generated code
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	@$(MAKE) --no-print-directory proto OUT=$$(mktemp -d) COMPARE=1

OUT := proto
proto: setup ## regenerate proto/mesh/v1 from the .proto files
	$(PY) -m grpc_tools.protoc -I proto --python_out=$(OUT) --grpc_python_out=$(OUT) \
	  --mypy_out=$(OUT) --mypy_grpc_out=$(OUT) proto/mesh/v1/*.proto
	@if [ -n "$(COMPARE)" ]; then for f in $(OUT)/mesh/v1/*; do cmp "$$f" "proto/mesh/v1/$$(basename $$f)" \
	  || { echo "generated code is stale: run make proto"; exit 1; }; done; rm -r $(OUT); fi

openapi: setup ## write control/openapi.json anew from the routes
	$(PY) -m control.openapi_file > control/openapi.json.new && mv control/openapi.json.new control/openapi.json

api-fuzz: setup ## generated requests to a running control plane, every phase and check (a few minutes)
	@SKERRY_SCHEMATHESIS_EXAMPLES=$${SKERRY_SCHEMATHESIS_EXAMPLES:-20} $(PY) -m pytest --timeout 900 tests/contract/test_the_api_keeps_its_document.py $(ARGS)

lock: setup ## resolve the dependencies again, with hashes and without index addresses
	@for extra in edge codecs control tui dev; do uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --no-annotate --extra $$extra pyproject.toml -o requirements/$$extra.txt; done

clean: ## remove what the commands above made
	rm -rf $(VENV) .demo .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis
