# The front door. Everything that is made lies under .foedus; `make clean` removes it.

ARGS ?=
JOBS ?= 2
VERIFIER ?= .foedus/foedus-verify.pyz
BIN = .foedus/venv/bin
MANAGE = $(BIN)/python manage.py
TESTS = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -o cache_dir=.foedus/cache/pytest

# What lets the settings load for a tool that reaches no service.
OFFLINE = SECRET_KEY=none HUB_SIGNING_KEY=none DATABASE_URL=postgres://nobody@//nowhere/nothing \
	REDIS_URL=unix:///nowhere/redis.sock BROKER_URL=redis+socket:///nowhere/redis.sock

export HYPOTHESIS_STORAGE_DIRECTORY = .foedus/cache/hypothesis
export MYPY_CACHE_DIR = .foedus/cache/mypy
export RUFF_CACHE_DIR = .foedus/cache/ruff

# The first Python of the right age; pyenv's stand-ins for absent versions fail the question.
INSTALL = @for python in $(PYTHON) python3.11 python3.12 python3; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
	2>/dev/null && break; python=; done; \
	if [ -z "$$python" ]; then \
	echo "Foedus needs Python 3.11 or 3.12: install it, or say make PYTHON=/path/to/python3.11." >&2; \
	exit 1; fi; \
	"$$python" -I platform/hub/embedded/install.py

.PHONY: help install tools demo up test check bench crash verifier messages format clean
.DEFAULT_GOAL := help

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile
	@echo '  Arguments go in ARGS: make demo ARGS="--exit --json out.json"'

install: ## make the virtual environment in .foedus/venv (the others do it by themselves)
	$(INSTALL)

tools:
	$(INSTALL) --tools

demo: install ## a whole federation on this machine, live in the browser
	@exec $(MANAGE) demo $(ARGS)

up: install ## the hub alone, with its own database and broker
	@exec $(MANAGE) up $(ARGS)

test: tools ## the whole suite
	@$(TESTS) -n $(JOBS) --dist worksteal $(ARGS)

crash: tools ## kill every process at every named point, cut a long upload
	@FOEDUS_CRASH=all $(TESTS) -m crash $(ARGS)

bench: tools ## measure the hub
	@exec $(MANAGE) bench $(ARGS)

verifier: ## foedus-verify as one file, for machines without the agent
	@staged=$$(mktemp -d) && cp -r workers/verifier "$$staged" && mkdir -p .foedus \
	&& python3 -m zipapp "$$staged" -m verifier.cli:main -o $(VERIFIER) && rm -r "$$staged" \
	&& echo $(VERIFIER)

check: tools ## format, lint, types, imports, templates, migrations, settings, schema, layout
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(OFFLINE) $(BIN)/python -m mypy
	$(BIN)/lint-imports --cache-dir .foedus/cache/imports
	$(BIN)/python -m djlint --check --lint frontend/templates
	$(MANAGE) makemigrations --check --dry-run
	PUBLIC_URL=https://foedus.example ALLOWED_HOSTS=foedus.example $(MANAGE) check --deploy --fail-level WARNING
	$(MANAGE) spectacular --validate --fail-on-warn --file .foedus/openapi.yaml
	diff -u docs/openapi.yaml .foedus/openapi.yaml
	$(TESTS) -q tests/test_layout.py

messages: tools ## bring the catalogues of translations up to date
	@$(OFFLINE) DJANGO_SETTINGS_MODULE=hub.settings PYTHONPATH=platform:workers:. $(BIN)/python -c \
	"import django; django.setup(); from tests.translations import main; main()"

format: tools ## write code and templates as we write them
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .
	$(BIN)/python -m djlint --reformat --quiet frontend/templates

clean: ## remove all that was made, data included
	@for link in .foedus/*/postgres; do \
	if [ -L "$$link" ]; then rm -rf -- "$$(dirname "$$(readlink "$$link")")"; fi; done
	rm -rf .foedus
