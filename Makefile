# make demo   every task on built-in data: train, evaluate, export, answer
# make test   the default tests
# Both create .venv and install the project there, in editable form: .venv/bin/pipelines then works from any folder.
# PYTHON names another interpreter (3.11 to 3.13).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: findings demo test test-slow test-web test-serve lint docs pictures install clean

demo: .venv/installed
	$(BIN)/pipelines demo

test: .venv/installed-dev
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: .venv/installed-dev
	$(BIN)/python -m pip install --quiet -e '.[slow,docs]'
	$(BIN)/python -m pytest -m slow

# The page in a browser: wants Chromium (Debian: apt install chromium), skips without one.
test-web: .venv/installed-dev
	$(BIN)/python -m pip install --quiet -e '.[web-test]'
	$(BIN)/python -m pytest -m web -rs

# The HTTP service started for real, and what TensorFlow Serving reads.
test-serve: .venv/installed-dev
	$(BIN)/python -m pip install --quiet -e '.[serve,tf-serving]'
	$(BIN)/python -m pytest -m serve -s

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/installed
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	$(BIN)/mkdocs build --strict

# Runs the notebooks, which train what they show, and keeps its pictures in docs/pictures.
pictures: .venv/installed-dev
	$(BIN)/python -m pip install --quiet -e '.[slow]'
	$(BIN)/python notebooks/pictures.py

# Surprising behaviour of public libraries, each script on pinned versions in an environment of its own.
findings:
	bash findings/run.sh

install: .venv/installed

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else "Python 3.11 to 3.13 is needed, this is %d.%d; name another with make PYTHON=..." % v)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e .
	touch $@

.venv/installed-dev: .venv/installed pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

clean:
	rm -rf .venv demo
