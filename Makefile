# Everything a stranger needs: run, test, lint, bench, clean. Only git, make and Python 3.11 or newer have to be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Numba compiles a kernel again when its file changes: warm up again just then.
KERNELS := $(shell grep -rlE "njit|vectorize" hwloop --include=*.py)

.PHONY: run test lint bench clean lock

run: $(VENV)/.warm
	$(BIN)/hwloop factorize image

test: lint $(VENV)/.warm
	$(BIN)/pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/python firmware/generate.py --check

bench: $(VENV)/.installed-dev $(VENV)/.warm
	$(BIN)/python -m pytest benchmarks -s

clean:
	rm -rf $(VENV) build .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find hwloop firmware tests scripts -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.installed: requirements.lock pyproject.toml scripts/bootstrap.py
	$(PYTHON) scripts/bootstrap.py $(VENV) requirements.lock
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(PYTHON) scripts/bootstrap.py $(VENV) requirements-dev.lock
	@touch $@

$(VENV)/.warm: $(VENV)/.installed hwloop/warmup.py $(KERNELS)
	@echo "compiling the numerical kernels, once"
	$(BIN)/python -m hwloop.warmup
	@touch $@

# For maintainers: new versions of everything, in both lock files.
lock: $(VENV)/.installed-dev
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/python scripts/lock.py
