# Everything a stranger needs: run, test, lint, bench, clean. Only git, make and Python 3.11 or newer have to be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where MovieLens-100K (a folder ml-100k) is looked for.
DATA := $(or $(HWLOOP_DATA),data)
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
	$(BIN)/pytest -s -o timeout=0 benchmarks/bench_program.py benchmarks/bench_anls.py
	$(BIN)/python benchmarks/bench_jobs.py image --seeds 0-9
	$(BIN)/python benchmarks/bench_jobs.py image --seeds 0-9 --rig ideal
	[ ! -d $(DATA)/ml-100k ] || $(BIN)/python benchmarks/bench_jobs.py ratings $(DATA)/ml-100k --seeds 0-4

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
