# Shopstream. `make help` lists the targets.
#
# Settings come from the environment: SHOPSTREAM_HOME (state, default .shopstream/), SHOPSTREAM_PORT (default 8080; the
# other ports follow it), and those of include/settings.py.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
PLATFORM := $(RUN) include.platform
COMPOSE := docker compose --file docker/compose.yaml

.DEFAULT_GOAL := help
.PHONY: help install up down status logs psql dsn export clean load reconcile generate check check-suites lint test test-cluster soak chaos bench bench-quick docs lock test-deploy docker-secrets docker-up docker-down docker-logs docker-lock alert-test objectives user screenshots break

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## Make .venv from the locked requirements (the others do it when it is needed).
	@$(PYTHON) -m include.platform.install

up: install ## Start everything and follow the first events to a validated view.
	@$(PLATFORM) up

down: install ## Drain the stream and stop everything.
	@$(PLATFORM) down

status: install ## Show processes, stream, views, suites, alerts and disk; JSON=1 for a program.
	@$(PLATFORM) status $(if $(JSON),--json)

logs: install ## Follow the logs; NAME=scheduler for one of them.
	@$(PLATFORM) logs $(NAME)

psql: install ## Open psql; ROLE=analyst for another role than owner.
	@$(PLATFORM) psql $(if $(ROLE),--role $(ROLE))

dsn: install ## Print the libpq connection string (make -s dsn); ROLE=analyst for another role.
	@$(PLATFORM) dsn $(if $(ROLE),--role $(ROLE))

export: install ## Write a table or view as CSV that is safe in a spreadsheet: TABLE=mart_daily_kpis; ROLE=owner.
	@test -n "$(TABLE)" || { echo "Name the table: make export TABLE=mart_daily_kpis > file.csv" >&2; exit 2; }
	@$(PLATFORM) export "$(TABLE)" $(if $(ROLE),--role $(ROLE))

user: install ## Make a user of the UI and the API: NAME=anna; ROLE=Viewer looks, Op acts, Admin may all.
	@test -n "$(NAME)" || { echo "Name the user: make user NAME=anna ROLE=Viewer" >&2; exit 2; }
	@$(PLATFORM) user "$(NAME)" $(if $(ROLE),--role $(ROLE))

load: install ## Load your own files and show their balance: FILES='a.csv b.csv.gz'.
	@test -n "$(FILES)" || { echo "Name the files: make load FILES='a.csv b.csv.gz'" >&2; exit 2; }
	@$(PLATFORM) load $(FILES)

reconcile: install ## Compare the generator's manifests with Postgres, to the row and the cent.
	@$(RUN) include.reconcile

generate: install ## Deliver generated events; ARGS='--help' lists the options.
	@$(RUN) include.generator $(ARGS)

check: install ## Run the expectation suites now; SUITE=events or TABLE=shop.events for one; FULL=1 for all rows.
	@$(RUN) include.quality check $(foreach one,$(SUITE),--suite $(one)) $(if $(TABLE),--table $(TABLE)) \
		$(if $(FULL),--full)

check-suites: install ## Validate the files of expectations/ offline.
	@$(RUN) include.quality validate

alert-test: install ## Send a test alert through every channel and print what each said.
	@$(PLATFORM) alert-test

objectives: install ## Show how well each service level objective is kept, and the newest misses.
	@$(RUN) include.objectives

break: install ## Break the data on purpose, after asking: KIND=late-feed, doubled-price, ...; KIND=repair takes it back.
	@test -n "$(KIND)" || { echo "Name the kind: make break KIND=doubled-price; python -m tests.breaks --help lists them" >&2; exit 2; }
	@$(RUN) tests.breaks "$(KIND)" $(if $(filter yes,$(CONFIRM)),--yes)

clean: install ## Delete all data of the instance, after asking (CONFIRM=yes does not ask).
	@$(PLATFORM) clean $(if $(filter yes,$(CONFIRM)),--yes)

lint: install ## Check style, formatting and types.
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy

test: lint ## Lint, then all tests, the quick ones first (includes the whole platform and a browser).
	@$(RUN) tests.support.browser
	@$(RUN) tests.support.deploy_tools
	@$(RUN) pytest tests/unit
	@$(RUN) pytest tests/postgres
	@$(RUN) pytest tests/deploy/quick tests/deploy/kubernetes
	@$(RUN) pytest tests/spark
	@$(RUN) pytest tests/dags
	@$(RUN) pytest tests/cockpit
	@$(RUN) pytest tests/e2e

test-cluster: install ## Test the job on a Spark cluster: kills, scaling (15 to 20 minutes); WRITE_DOCS=1 writes docs/cluster.md.
	@$(RUN) pytest tests/cluster $(ARGS)

test-deploy: install ## Run the services of docker/compose.yaml on this machine, as root, without a container engine.
	@$(RUN) tests.support.deploy_tools
	@$(RUN) pytest tests/deploy

soak: install ## Feed the stream what is too large for make test; ARGS='--help' lists the cases and their sizes.
	@$(RUN) tests.soak $(ARGS)

chaos: install ## Break a real instance for 30 minutes, see what is lost or doubled; MINUTES=, RATE=, FAULTS=, SEED=, ONLY=.
	@$(RUN) tests.chaos --report docs/reliability.md --minutes $(or $(MINUTES),30) --rate $(or $(RATE),2000) \
		--faults $(or $(FAULTS),60) --seed $(or $(SEED),1) --only "$(ONLY)"

bench: install ## Measure everything beside its references (hours) and write docs/performance.md; ONLY=latency,start for a part.
	@test -x $(VENV)/peers/bin/python || { $(PYTHON) -m venv $(VENV)/peers \
		&& $(VENV)/peers/bin/pip install --quiet -r tests/benchmarks/peers/requirements.txt; } || rm -rf $(VENV)/peers
	@$(RUN) tests.benchmarks $(if $(ONLY),--only $(ONLY))

bench-quick: install ## Measure a part in four minutes and compare with what is committed; SAVE=1 makes it the committed one.
	@$(RUN) tests.benchmarks --quick $(if $(SAVE),--save)

docs: install ## Render the generated parts of the docs: data dictionary, settings, DAGs, objectives, metrics, keys of Spark.
	@$(RUN) include.contract.dictionary
	@$(RUN) include.settings_page
	@$(RUN) include.airflow.dag_docs
	@$(RUN) include.objectives.page
	@$(RUN) include.metrics.page
	@$(RUN) include.airflow.spark_page

screenshots: install ## Take the pictures of docs/cockpit.md from the running platform.
	@$(RUN) tests.screenshots

lock: install ## Compile requirements.txt from pyproject.toml.
	@$(VENV)/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-config \
		--no-emit-index-url --no-emit-find-links -o requirements.txt --quiet

docker-secrets: ## Make what is missing of the containers' passwords, keys and docker/.env.
	@docker/secrets.sh

docker-up: docker-secrets ## Build the images and start the platform in containers; SCALE='spark-worker=3' for more of one.
	@$(COMPOSE) up --build --detach --wait $(foreach one,$(SCALE),--scale $(one))
	@echo "Airflow: user admin, password in docker/secrets/admin-password; the addresses: $(COMPOSE) ps"

docker-down: ## Stop the containers; volumes and secrets stay.
	@$(COMPOSE) down

docker-logs: ## Follow the logs of the containers; NAME=scheduler for one of them.
	@$(COMPOSE) logs --follow --tail 100 $(NAME)

docker-lock: install ## Compile what the images need beside requirements.txt, for Celery.
	@$(VENV)/bin/uv pip compile docker/app/celery.in -c requirements.txt --no-deps --universal --python-version 3.11 \
		--generate-hashes --no-config --no-emit-index-url --no-emit-find-links -o docker/app/celery.txt --quiet
