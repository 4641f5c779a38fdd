# Everything a newcomer types. `make run` sets up .venv-run with what it runs, `make install` sets up
# .venv with what the tests need, and nothing else.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run run-oidc dev install check format lint test test-unit sample faults threats soak soak-sample screenshots containers dist docs

# Make an environment named $(1) with the packages of the lock file $(2).
define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "authgw needs Python 3.11 or newer; this is $$($(PYTHON) --version)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python cannot make a virtual environment here: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(1)
	$(1)/bin/pip install --quiet --no-compile --require-hashes --requirement $(2)
endef

# The same, with authgw itself from this directory.
define environment_with_authgw
	$(call environment,$(1),$(2))
	$(1)/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@
endef

run: .venv-run/.installed
	@tools/demo

# As `make run`, and an identity provider beside it.
run-oidc: install tests/providers/node_modules
	@tools/demo-oidc

# As `make run`, and the gateway starts again when its code or configuration changes.
dev: install
	@tools/demo dev

install: .venv/.installed

.venv/.installed: requirements-test.lock pyproject.toml
	$(call environment_with_authgw,.venv,requirements-test.lock)

.venv-run/.installed: requirements-demo.lock pyproject.toml
	$(call environment_with_authgw,.venv-run,requirements-demo.lock)

# The inner loop: style, types, imports and unit tests, in under a minute.
check: install
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest tests/unit bench/tests -n auto -m "not slow"

format: install
	$(BIN)/ruff check --fix --quiet
	$(BIN)/ruff format

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml examples/traefik/docker-compose.yml examples/traefik/authgw-labels.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/hadolint Dockerfile
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive authgw

# What tests need from npm, by the Node of .venv.
NODE_MODULES := tests/browser/node_modules tests/providers/node_modules

$(NODE_MODULES): %/node_modules: %/package-lock.json | .venv/.installed
	$(BIN)/npm ci --silent --prefix $*
	touch $@

# On every core: tests without a server, then those whose servers wait more than they compute, each
# module on one core. Then, alone, tests that race and browsers, which a busy machine would disturb:
# those marked so.
QUICK := tests/unit bench/tests tests/web tests/test_guarantees.py
SERVERS := tests/contract tests/deploy tests/proxies tests/e2e tests/providers tests/threats

test: install $(NODE_MODULES)
	$(BIN)/pytest $(QUICK) -n auto --junitxml=.results/quick.xml --cov --cov-report=
	$(BIN)/pytest $(SERVERS) -m "not alone" -n auto --dist loadfile --junitxml=.results/servers.xml \
		--durations=20 --cov --cov-append --cov-report=
	$(BIN)/pytest $(addprefix --ignore ,$(QUICK) tests/faults tests/limits tests/containers) -m alone tests --junitxml=.results/test.xml \
		--durations=20 --cov --cov-append --cov-report=term --cov-fail-under=90

# Faults of everything around a gateway, and its own; seconds that all of it may take. A busy machine
# has half as long again before it is stopped.
FAULTS_BUDGET := 240

faults: install
	$(BIN)/pytest tests/faults --junitxml=.results/faults.xml --session-timeout=$$(($(FAULTS_BUDGET) * 3 / 2))
	@echo "The budget of tests/faults is $(FAULTS_BUDGET) s."

# The image and docker-compose.yml, by Podman and runc on base images of the system's packages. As
# root; the budget in seconds, as above.
CONTAINERS_BUDGET := 600

containers: install
	$(BIN)/pytest tests/containers --junitxml=.results/containers.xml --timeout=0 --session-timeout=$$(($(CONTAINERS_BUDGET) * 3 / 2))
	@echo "The budget of tests/containers is $(CONTAINERS_BUDGET) s."

# A few of what `make faults` and tests/limits run whole, so that a broken suite is seen at once.
sample: install
	$(BIN)/pytest -m sample tests/faults tests/limits

# What docs/explanation/threats.md names, as a table. Results of `make test` and `make faults` count while nothing
# has changed since; the rest is run. THREATS='--without tests/limits' leaves out what is slow.
THREATS :=

threats: install $(NODE_MODULES)
	$(BIN)/python -m tests.threats $(THREATS)

# The same with full counts and loads, an hour of it; SOAK_SECONDS sets how long the mixed load lasts.
soak: install
	AUTHGW_SOAK=1 $(BIN)/pytest tests/faults tests/threats/test_differential.py -s --timeout=0 --durations=20

# The suites of `make soak` with a tenth of its counts, in minutes.
soak-sample: install
	AUTHGW_SOAK=0.1 SOAK_SECONDS=$${SOAK_SECONDS:-120} $(BIN)/pytest tests/faults/test_soak.py tests/faults/test_store_link.py tests/threats/test_differential.py -s --timeout=0 --durations=20

.venv-docs/.installed: requirements-docs.lock
	$(call environment,.venv-docs,requirements-docs.lock)
	touch $@

# The manual as a site in .results/site; a broken link fails. (With --quiet it would not.)
docs: .venv-docs/.installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --site-dir .results/site

# What a release publishes: wheel, source distribution, bill of materials.
dist: install
	rm -rf dist
	$(BIN)/python tools/release.py build dist

# The pictures of the README, taken by the tests of the pages.
screenshots: install tests/browser/node_modules
	mkdir -p docs/screenshots
	AUTHGW_SCREENSHOTS=docs/screenshots $(BIN)/pytest tests/browser/test_pages.py

test-unit: install
	$(BIN)/pytest $(QUICK) -n auto
