# Everything happens in .venv, which is made when it is missing. `make test` is the whole suite.
# Each set of tools has a stamp in .venv, so that pip runs only when pyproject.toml has changed since.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
WHEEL_VENV := build/wheel-venv
# The tests share the processors, and wait for much of their time: one more than there are processors, at most 4.
# What ARGS says comes later and wins: make test ARGS="-n 0 tests/daemon"
PYTEST := pytest -n $(shell n=$$(($$(nproc) + 1)); echo $$((n < 4 ? n : 4))) --dist worksteal
ARGS   ?=

# pip without its chatter. --group needs pip 25.1, and what comes with a Python may be older: .pip sees to that.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
PIP_INSTALL := -m pip install --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types bench docs wheel wheel-test etcd readers clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 | \2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
	  || sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1: \2/p' $(MAKEFILE_LIST)

demo: $(VENV)/.confsync  ## see confsync at work, without any server
	$(BIN)/confsync demo

test: $(VENV)/.test etcd readers  ## run every test, against a real etcd
	$(BIN)/$(PYTEST) $(ARGS)

lint: $(VENV)/.lint  ## check style, format and the layers' imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

format: $(VENV)/.lint  ## put the format right
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(VENV)/.types  ## check types
	$(BIN)/mypy

bench: $(VENV)/.test etcd  ## measure; see docs/figures.md
	@set -e; for script in bench/[a-z]*.py; do \
	  case $$script in bench/common.py) continue;; esac; \
	  echo "== $$script"; $(BIN)/python $$script $(ARGS); done

docs: $(VENV)/.confsync  ## write docs/reference and docs/assets from the code
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/record.py

wheel: $(VENV)/.pip  ## build dist/confsync-*.whl
	rm -f dist/confsync-*.whl
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist/confsync-*.whl

# PYTHONSAFEPATH keeps the checkout off sys.path, in every process the tests start as well.
wheel-test: export PYTHONSAFEPATH := 1
wheel-test: export CONFSYNC_TEST_WHEEL := 1
wheel-test: wheel etcd readers  ## run the tests against the built wheel, in an environment of its own
	rm -rf $(WHEEL_VENV)
	$(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python $(PIP_INSTALL) --upgrade 'pip>=25.1'
	$(WHEEL_VENV)/bin/python $(PIP_INSTALL) "$$(ls $(CURDIR)/dist/confsync-*.whl)[etcd,kubernetes,vault]" --group test
	$(WHEEL_VENV)/bin/$(PYTEST) $(ARGS)

etcd:
	@sh .ci/ensure-etcd

readers:
	@sh .ci/ensure-readers

clean:  ## remove what make made
	rm -rf $(VENV) build dist demo

$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "confsync needs Python 3.11 or later; say which: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "$(PYTHON) cannot make virtual environments (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP_INSTALL) --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.confsync: pyproject.toml | $(VENV)/.pip
	$(BIN)/python $(PIP_INSTALL) --editable '.[etcd,kubernetes,vault]'
	@touch $@

# The library itself is installed with every set: pip then sees to it that the versions fit together.
$(VENV)/.test $(VENV)/.lint $(VENV)/.types: $(VENV)/.%: $(VENV)/.confsync
	$(BIN)/python $(PIP_INSTALL) --group $*
	@touch $@
