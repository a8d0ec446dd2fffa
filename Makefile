# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PYTHONPATH :=
export HF_HUB_OFFLINE ?= 1

.PHONY: demo demo-fast test smoke check install builtin-base sandbox browser clean

# torch first and pinned, from a CPU index where no GPU is seen: anything else pulls CUDA packages.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	./scripts/install.sh $(BIN)/python
	touch $@

install: $(STAMP)

sandbox:
	@./scripts/install-bubblewrap.sh

demo: $(STAMP) sandbox
	$(BIN)/codemoe demo

demo-fast: $(STAMP) sandbox
	$(BIN)/codemoe demo --fast

browser:
	@./scripts/install-chromium.sh

# A process for each core, and in it one thread: tests are many small things.
test: $(STAMP) sandbox browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

# Every recipe in small: ten to twenty minutes.
smoke: $(STAMP) sandbox
	$(BIN)/python -m pytest -m slow tests/smoke

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

builtin-base: $(STAMP)
	$(BIN)/codemoe data recipes/builtin-base.yaml
	$(BIN)/codemoe base recipes/builtin-base.yaml
	$(BIN)/python scripts/ship_base.py runs/builtin-base/base src/codemoe/assets/base

clean:
	rm -rf $(VENV) runs .pytest_cache .ruff_cache .mypy_cache
