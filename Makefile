# Everything a stranger needs: run, test, lint, bench, clean. git, make and Python 3.11 or newer have to be there; for the
# firmware and its tests, also the Debian packages FIRMWARE_PACKAGES and FIRMWARE_TEST_PACKAGES.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where MovieLens-100K (a folder ml-100k) is looked for.
DATA := $(or $(HWLOOP_DATA),data)
# Numba compiles a kernel again when its file changes: warm up again just then. It does not see that a constant from
# another file changed, so what was compiled is thrown away then.
KERNELS := $(shell grep -rlE "njit|vectorize" hwloop --include=*.py)
CONSTANTS := hwloop/link/protocol.py hwloop/mock/chips/wiring.py hwloop/mock/chips/state.py

FIRMWARE_PACKAGES := gcc libc6-dev gcc-arm-none-eabi
FIRMWARE_TEST_PACKAGES := qemu-system-arm clang libclang-rt-dev cppcheck gcovr

.PHONY: run test all-tests pytest lint bench clean lock firmware firmware-test fuzz emulated-image host-image kills recordings calibrations

run: $(VENV)/.warm
	$(BIN)/hwloop factorize image

# Two halves side by side: the firmware's own tests are C, and leave a core to the others.
test: lint firmware $(VENV)/.warm
	$(MAKE) --no-print-directory -j2 all-tests
all-tests: firmware-test pytest
pytest:
	$(BIN)/pytest

firmware:
	@for tool in gcc arm-none-eabi-gcc; do command -v $$tool >/dev/null || { \
	    echo "$$tool is missing: install the Debian packages $(FIRMWARE_PACKAGES)" >&2; exit 1; }; done
	$(MAKE) --no-print-directory -C firmware host arm size stack

firmware-test:
	@for tool in qemu-system-arm clang cppcheck gcovr; do command -v $$tool >/dev/null || { \
	    echo "$$tool is missing: install the Debian packages $(FIRMWARE_TEST_PACKAGES)" >&2; exit 1; }; done
	$(MAKE) --no-print-directory -C firmware test coverage lint budget mutations fuzz-short

# An hour, unless FUZZ_SECONDS says otherwise; it goes on where it stopped.
fuzz:
	$(MAKE) --no-print-directory -C firmware fuzz

# The image job on the firmware and on the Python board: the same factors, and how much longer it takes.
emulated-image: firmware $(VENV)/.warm
	$(BIN)/python -m benchmarks.same_factors emulated
host-image: firmware $(VENV)/.warm
	$(BIN)/python -m benchmarks.same_factors host

# Calibrations of the default simulated boards, anew: after a change of the wire table, or of what boards hide.
calibrations: $(VENV)/.warm
	for board in hwloop-128x16 hwloop-4096x16 hwloop-16x4; do \
	    HWLOOP_BOARD_NAME=$$board $(BIN)/hwloop calibrate all || exit 1; done

# The recordings that tests replay, anew.
recordings: firmware $(VENV)/.warm
	$(BIN)/python scripts/record.py

# Kill runs at random instants and resume them; KILLS of each job.
KILLS := 95
kills: $(VENV)/.warm
	$(BIN)/python benchmarks/kill_runs.py image-crop ratings-small --kills $(KILLS)
	$(BIN)/python benchmarks/kill_runs.py image --kills $$(( ($(KILLS) + 9) / 10 ))

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
	$(MAKE) -C firmware clean
	rm -rf $(VENV) build .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find hwloop firmware tests scripts -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.installed: requirements.lock pyproject.toml scripts/bootstrap.py
	$(PYTHON) scripts/bootstrap.py $(VENV) requirements.lock
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(PYTHON) scripts/bootstrap.py $(VENV) requirements-dev.lock
	@touch $@

$(VENV)/.warm: $(VENV)/.installed hwloop/warmup.py $(KERNELS) $(CONSTANTS)
	@[ -z "$(filter $(CONSTANTS),$?)" ] || find hwloop -name '*.nb[ic]' -delete
	@echo "compiling the numerical kernels, once"
	$(BIN)/python -m hwloop.warmup
	@touch $@

# For maintainers: new versions of everything, in both lock files.
lock: $(VENV)/.installed-dev
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/python scripts/lock.py
