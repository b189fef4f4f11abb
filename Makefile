# Shopstream. `make help` lists the targets.
#
# Settings come from the environment: SHOPSTREAM_HOME (state directory, default .shopstream/), SHOPSTREAM_PORT (default
# 8080; the other ports follow it), and the others in include/settings.py.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
PLATFORM := $(RUN) include.platform
# The parts of the tests, by the names of their targets: test-deploy-quick runs tests/deploy/quick.
TEST_PARTS := test-unit test-system test-postgres test-deploy-quick test-deploy-kubernetes test-spark test-dags test-cockpit test-e2e
# The parts whose tests run at the same time. Unit tests wait more than they compute: two per core. The others wait for
# databases and schedulers: one per core, four at most.
JOBS ?= $(shell expr 2 \* $$(nproc))
CORES := $(shell nproc | awk '{print ($$1 > 4) ? 4 : $$1}')
WORKERS_unit = $(JOBS)
WORKERS_postgres = $(CORES)
WORKERS_dags = $(CORES)
COMPOSE := docker compose --file docker/compose.yaml

.DEFAULT_GOAL := help
.PHONY: help install install-dev up down status logs psql dsn export clean load retract reconcile generate check check-suites lint test test-tools $(TEST_PARTS) test-quick test-cluster test-stops soak chaos bench bench-quick docs docs-site lock test-deploy docker-secrets docker-up docker-down docker-logs docker-lock alert-test maintenance objectives user screenshots break hooks

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-15s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## Create .venv with what the platform needs, from requirements.txt (other targets do this when needed).
	@$(PYTHON) -m include.platform.installation.install

install-dev: ## Add what development and tests need, from tests/requirements.txt (other targets do this when needed).
	@$(PYTHON) -m include.platform.installation.install --dev

# Targets that stop, show or delete never install: they must work while the platform runs, and without a network.
$(VENV)/bin/python:
	@echo "Nothing is installed here, so nothing runs: make up installs and starts it" >&2; exit 1

up: install ## Start everything and follow the first events to a validated view.
	@$(PLATFORM) up

down: $(VENV)/bin/python ## Drain the stream and stop everything.
	@$(PLATFORM) down

status: $(VENV)/bin/python ## Show processes, stream, views, suites, alerts and disk; JSON=1 prints JSON.
	@$(PLATFORM) status $(if $(JSON),--json)

logs: $(VENV)/bin/python ## Follow all logs; NAME=scheduler follows one.
	@$(PLATFORM) logs $(NAME)

psql: $(VENV)/bin/python ## Open psql as the role owner; ROLE=analyst for another role.
	@$(PLATFORM) psql $(if $(ROLE),--role $(ROLE))

dsn: $(VENV)/bin/python ## Print the libpq connection string (make -s dsn); ROLE=analyst for another role.
	@$(PLATFORM) dsn $(if $(ROLE),--role $(ROLE))

export: install ## Write a table or view as CSV that is safe in a spreadsheet: TABLE=mart_daily_kpis; ROLE=owner.
	@test -n "$(TABLE)" || { echo "Name the table: make export TABLE=mart_daily_kpis > file.csv" >&2; exit 2; }
	@$(PLATFORM) export "$(TABLE)" $(if $(ROLE),--role $(ROLE))

user: install ## Create a user of the UI and the API: NAME=anna; ROLE=Viewer reads, Op also acts, Admin may do everything.
	@test -n "$(NAME)" || { echo "Name the user: make user NAME=anna ROLE=Viewer" >&2; exit 2; }
	@$(PLATFORM) user "$(NAME)" $(if $(ROLE),--role $(ROLE))

load: install ## Load your own files and show their balance: FILES='a.csv "b c.csv"'.
	@$(if $(strip $(FILES)),,echo "Name the files: make load FILES='a.csv b.csv.gz'" >&2; exit 2)
	@$(PLATFORM) load $(FILES)

retract: install ## Retract a delivery after a dry run: FILE='bad-*.csv', FILE_ID=, BATCH=, SINCE= UNTIL=; REASON=; CONFIRM=yes.
	@$(PLATFORM) retract $(if $(FILE),--file '$(FILE)') $(if $(FILE_ID),--file-id '$(FILE_ID)') \
		$(if $(BATCH),--batch '$(BATCH)') $(if $(SINCE),--since '$(SINCE)') $(if $(UNTIL),--until '$(UNTIL)') \
		$(if $(REASON),--reason '$(REASON)') $(if $(filter yes,$(CONFIRM)),--yes)

reconcile: install ## Compare the generator's manifests with Postgres, to the row and the cent.
	@$(RUN) include.reconcile

generate: install ## Deliver generated events; ARGS='--help' lists the options.
	@$(RUN) include.generator $(ARGS)

check: install ## Run the expectation suites now; SUITE=events or TABLE=shop.events for one; FULL=1 for all rows.
	@$(RUN) include.quality check $(foreach one,$(SUITE),--suite $(one)) $(if $(TABLE),--table $(TABLE)) \
		$(if $(FULL),--full)

check-suites: install ## Validate the files in expectations/ offline.
	@$(RUN) include.quality validate

alert-test: install ## Send a test alert through every channel and print each reply.
	@$(PLATFORM) alert-test

maintenance: install ## Announce planned work, during which no alerts are sent: MINUTES=60 REASON="..." AT=2026-05-01T22:00+02:00; END=1 ends it.
	@$(RUN) include.alerts $(if $(END),--end,$(if $(MINUTES),--minutes $(MINUTES)) $(if $(REASON),--reason "$(REASON)") $(if $(AT),--at $(AT)))

objectives: install ## Show the attainment of each service level objective and the newest misses.
	@$(RUN) include.objectives

break: install ## Break the data on purpose, after asking: KIND=late-feed, doubled-price, ...; KIND=repair undoes it.
	@test -n "$(KIND)" || { echo "Name the kind: make break KIND=doubled-price; python -m tests.programs.breaks --help lists them" >&2; exit 2; }
	@$(RUN) tests.programs.breaks "$(KIND)" $(if $(filter yes,$(CONFIRM)),--yes)

clean: $(VENV)/bin/python ## Delete all data of the instance, after asking (CONFIRM=yes skips the question).
	@$(PLATFORM) clean $(if $(filter yes,$(CONFIRM)),--yes)

hooks: install-dev ## Check style, types and suites at each commit (pre-commit).
	@$(VENV)/bin/pre-commit install

lint: install-dev ## Check style, formatting and types.
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy

# The quick parts come first. The others share one PostgreSQL, and each runs whether or not an earlier one failed.
test: test-tools $(if $(T),install-dev,lint) ## Lint and run all tests, or some: T=tests/unit/test_landing.py; ARGS for pytest.
ifdef T
	@$(RUN) pytest $(T) $(ARGS)
else
	@$(MAKE) --no-print-directory test-unit
	@$(RUN) tests.support.postgres $(MAKE) --no-print-directory --keep-going --jobs=1 $(filter-out test-unit,$(TEST_PARTS))
endif

test-unit: ## Run one part of the tests; also test-system, -postgres, -spark, -dags, -cockpit, -e2e, -deploy-quick, -deploy-kubernetes.
$(TEST_PARTS): test-%: install-dev
	@$(RUN) pytest tests/$(subst -,/,$*) $(addprefix -n ,$(WORKERS_$*)) $(ARGS)

test-tools: ## Check for the programs that the tests need; as root on Debian and Ubuntu, install them.
	@$(PYTHON) tests/prerequisites.py
	@$(MAKE) --no-print-directory install-dev
	@$(RUN) tests.support.browser
	@$(RUN) tests.support.deploy_tools

test-quick: lint ## Run lint, type checks and the quick unit tests, without JVM, browser or database, in about a minute.
	@$(RUN) pytest tests/unit -n $(JOBS) -m 'not slow' $(ARGS)

test-cluster: install-dev ## Test the job on a Spark cluster: kills, scaling (15 to 20 minutes); WRITE_DOCS=1 writes docs/cluster.md.
	@$(RUN) pytest tests/cluster $(ARGS)

test-deploy: install-dev ## Run the services of docker/compose.yaml on this machine, as root, without a container engine.
	@$(RUN) tests.support.deploy_tools
	@$(RUN) pytest tests/deploy

test-stops: install-dev ## Stop the stream's query 200 times under load (10 minutes); STOPS= sets another number.
	@STOPS=$(or $(STOPS),200) $(RUN) pytest tests/spark/test_stops.py

soak: install-dev ## Feed the stream inputs that are too large for make test; ARGS='--help' lists the cases and their sizes.
	@$(RUN) tests.programs.soak $(ARGS)

chaos: install-dev ## Inject faults into a real instance for 30 minutes, check for lost or doubled rows; MINUTES=, RATE=, FAULTS=, SEED=, ONLY=.
	@$(RUN) tests.programs.chaos --report docs/reliability.md --minutes $(or $(MINUTES),30) --rate $(or $(RATE),2000) \
		--faults $(or $(FAULTS),60) --seed $(or $(SEED),1) --only "$(ONLY)"

bench: install-dev ## Measure everything against its references (hours) and write docs/performance.md; ONLY=latency,start runs a part.
	@test -x $(VENV)/peers/bin/python || { $(PYTHON) -m venv $(VENV)/peers \
		&& $(VENV)/peers/bin/pip install --quiet -r tests/programs/benchmarks/peers/requirements.txt; } || rm -rf $(VENV)/peers
	@$(RUN) tests.programs.benchmarks $(if $(ONLY),--only $(ONLY))

bench-quick: install-dev ## Measure a part in four minutes and compare with the committed results; SAVE=1 replaces those.
	@$(RUN) tests.programs.benchmarks --quick $(if $(SAVE),--save)

docs: install ## Render the generated docs: data dictionary, settings, DAGs, objectives, metrics, keys of the Spark connection.
	@$(RUN) include.contract.dictionary
	@$(RUN) include.settings_page
	@$(RUN) include.airflow.dag_docs
	@$(RUN) include.objectives.page
	@$(RUN) include.metrics.page
	@$(RUN) include.airflow.spark.reference

screenshots: install-dev ## Take the screenshots of docs/cockpit.md from the running platform.
	@$(RUN) tests.programs.screenshots

docs-site: install-dev ## Build the documentation as a site into build/docs, and check its links.
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet --config-file .mkdocs.yml
	@echo "Open build/docs/index.html"

COMPILE := $(VENV)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-config \
	--no-emit-index-url --no-emit-find-links --quiet

lock: install ## Compile requirements.txt and tests/requirements.txt from pyproject.toml.
	@$(COMPILE) pyproject.toml -o requirements.txt
	@$(COMPILE) --group dev -c requirements.txt -o tests/requirements.txt

docker-secrets: ## Create the containers' passwords and keys and docker/.env, as far as they are missing.
	@docker/secrets.sh

docker-up: docker-secrets ## Build the images and start the platform in containers; SCALE='spark-worker=3' scales a service.
	@$(COMPOSE) up --build --detach --wait $(foreach one,$(SCALE),--scale $(one))
	@echo "Airflow: user admin, password in docker/secrets/admin-password; the addresses: $(COMPOSE) ps"

docker-down: ## Stop the containers; volumes and secrets stay.
	@$(COMPOSE) down

docker-logs: ## Follow the logs of all containers; NAME=scheduler follows one.
	@$(COMPOSE) logs --follow --tail 100 $(NAME)

docker-lock: install ## Compile the images' additional requirements, for Celery.
	@$(VENV)/bin/uv pip compile docker/app/celery.in -c requirements.txt --no-deps --universal --python-version 3.11 \
		--generate-hashes --no-config --no-emit-index-url --no-emit-find-links -o docker/app/celery.txt --quiet
