# Two commands: `make demo` (the main job on a real voice application) and `make test`.
# Everything they need is installed here: python3, make, git and two registries are enough.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
LIMIT := timeout --kill-after=30
WORKERS ?= 2

.PHONY: demo test setup setup-dev lock lint clean

demo: setup
	$(LIMIT) 3000 $(BIN)/vtool optimize fixtures/voice-app -o build/vtool/voice-app

# First what nothing may run beside, then all other tests in several processes. A file's tests stay
# together, for they share what is slow to make; tests/conftest.py says which file is first.
test: export PYTHONDONTWRITEBYTECODE := # the tests start vtool hundreds of times: compile it once
test: setup-dev
	$(LIMIT) 600 $(BIN)/python -m pytest -m alone; alone=$$?; \
	$(LIMIT) 4800 $(BIN)/python -m pytest -m "not alone" --numprocesses $(WORKERS) --dist loadfile \
	  --no-loadscope-reorder && exit $$alone

setup: .venv/runtime.done
setup-dev: .venv/dev.done

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: Python 3.11 or newer is needed\n hint: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv .venv

.venv/runtime.done: requirements/runtime.txt pyproject.toml | .venv/bin/python
	$(LIMIT) 1500 $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	$(LIMIT) 300 $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

.venv/dev.done: requirements/dev.txt .venv/runtime.done
	$(LIMIT) 1500 $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	touch $@

# Writes the pinned requirements anew; needs uv (pip install uv).
lock:
	for set in "runtime build" "dev dev"; do set -- $$set; \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --no-annotate --no-header --extra voice --group $$2 pyproject.toml -o requirements/$$1.txt; done

lint: setup-dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

clean:
	rm -rf build dist .venv
