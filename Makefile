# Needs Python 3.11 or newer, git and make. `make PYTHON=/path/to/python3.12 demo` chooses one.
PYTHON = python3
VENV = .venv
PORT = 0
PROJECT = {{cookiecutter.project_slug}}
# The project's own rules are fewer, and hold where it is baked; imports are sorted only there.
STRICT = --config pyproject.toml --config 'exclude = ["schema_guard"]' --ignore I001,RUF100,RUF200

# Its steps, without its last words: they name another address than the one that is served.
SET_UP = import runpy, sys; it = runpy.run_path('demo/my-service/bin/setup'); sys.exit(it['main'](it['STEPS']))

.PHONY: demo test coverage test-lowest test-newest lint lock manifest clean

demo: $(VENV)/demo ## bake the default project, set it up, migrate it, serve it
	@test -d demo/my-service || \
	  FLASK_MIGRATE_TEMPLATE_SETUP=no $(VENV)/bin/cookiecutter . --no-input --output-dir demo
	@$(VENV)/bin/python -c "$(SET_UP)"
	@demo/my-service/.venv/bin/flask --app demo/my-service/wsgi.py run --debug --port $(PORT)

test: $(VENV)/dev lint ## everything, on real servers
	$(VENV)/bin/python scripts/install_servers.py
	$(VENV)/bin/python -m pytest --numprocesses 2

coverage: export COVERAGE_FILE = $(CURDIR)/.coverage
coverage: $(VENV)/dev ## what the tests run of schema_guard, on every DBMS
	$(VENV)/bin/coverage erase
	$(VENV)/bin/coverage run -m pytest --numprocesses 2 $(TESTS)
	$(VENV)/bin/coverage combine --quiet
	$(VENV)/bin/coverage report

# What schema_guard fits, see schema_guard/core/versions.py.
LOWEST = alembic==1.20.0 SQLAlchemy==2.1.0 Flask-Migrate==4.1.0
NEWEST = --upgrade 'alembic<1.21' 'SQLAlchemy<2.2' 'Flask-Migrate<4.2'

test-lowest: $(VENV)/dev ## schema_guard on the oldest releases that it fits
	$(call test_with,$(LOWEST))

test-newest: $(VENV)/dev ## and on the newest
	$(call test_with,$(NEWEST))

define test_with
$(VENV)/bin/uv venv --quiet --clear --python $(VENV)/bin/python .venv-releases
$(VENV)/bin/uv pip install --quiet --python .venv-releases -r requirements-dev.txt
$(VENV)/bin/uv pip install --quiet --python .venv-releases $(1)
.venv-releases/bin/python -m pytest tests/schema_guard --numprocesses 2
endef

lint: $(VENV)/dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/ruff check --cache-dir .ruff_cache '$(PROJECT)/schema_guard'
	$(VENV)/bin/ruff format --check --cache-dir .ruff_cache '$(PROJECT)/schema_guard'
	$(VENV)/bin/ruff check $(STRICT) '$(PROJECT)' '$(PROJECT)/bin/setup'
	cd '$(PROJECT)' && '$(CURDIR)/$(VENV)/bin/mypy' --config-file schema_guard/mypy.ini --cache-dir '$(CURDIR)/.mypy_cache'
	PYTHONPATH='$(PROJECT)' $(VENV)/bin/lint-imports --no-logo

lock: $(VENV)/dev ## refresh every requirements*.txt
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python scripts/lock.py

manifest: $(VENV)/dev ## after a change to schema_guard: the hashes of its files
	$(VENV)/bin/python scripts/manifest.py

clean:
	rm -rf $(VENV) .venv-releases demo

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11: make PYTHON=/path/to/a/newer/one ..."; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/demo: requirements.txt | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/dev: requirements-dev.txt | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
