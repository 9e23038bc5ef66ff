# Every target installs what it needs into .venv, made with PYTHON (3.11 or newer).
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A real MLflow server for the tests of its mirror, in an environment of its own: its newest release, whatever that needs.
MLFLOW := .venv-mlflow

.DEFAULT_GOAL := help
.PHONY: help demo pictures test check bench soak faults scenarios simulate docs mlflow

help:  ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY)  ## Walk a year of real flights and write the report to examples/flights/out
	$(BIN)/python examples/flights/demo.py

pictures: $(READY)  ## Take the pictures of the dashboard, of the year that the demo has played
	$(BIN)/python examples/flights/pictures.py

test: check docs $(MLFLOW)/.ready  ## Check, build the docs with warnings as errors, run every test
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --durations 25

deep: $(READY)  ## Install PyTorch, Keras and shap (1.1 GB, with CUDA 8 GB more), and test networks and contributions beside them
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group deep
	$(BIN)/python -m pytest tests/contracts/test_formats.py tests/registry -k "torch or keras or PyTorch or Keras"
	$(BIN)/python -m pytest tests/loop/test_explaining.py -k shap_package

check: $(READY)  ## Check formatting, lint, types, layers, security faults and changelog fragments
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive src/treadle --configfile pyproject.toml --severity-level medium
	$(BIN)/towncrier build --draft --version next > /dev/null

bench: $(READY)  ## Measure against bare libraries and peers (QUICK=1: a smoke test, ONLY=id: one benchmark)
	$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

soak: $(READY)  ## Serve for half an hour at 70 % of capacity, and draw memory and p99 (MINUTES=30)
	$(BIN)/python benchmarks/soak.py --minutes $(or $(MINUTES),30) --plot soak.svg

faults: $(READY)  ## Cut power, fail disks and kill writers at full size: an hour and more
	TREADLE_TEST_POWER_CUTS=20000 TREADLE_TEST_KILLED_WRITERS=200 TREADLE_TEST_APPENDS=100 \
		TREADLE_TEST_DISK_FAULTS=200 TREADLE_TEST_DISK_CALLS=200 TREADLE_TEST_INGESTED_FILES=9 \
		TREADLE_TEST_CROWD=8 TREADLE_TEST_CROWD_SECONDS=120 TREADLE_FULL=1 \
		$(BIN)/python -m pytest -n $(JOBS) tests/faults tests/data/test_crowd.py tests/store/test_tables.py tests/contracts/test_tables.py \
		tests/loop/test_kills.py tests/loop/test_watchers.py tests/loop/test_search_kills.py tests/loop/test_interruptions.py tests/loop/test_ray.py \
		tests/training/test_checkpoints.py tests/store/test_leases.py \
		tests/serving/test_workers.py tests/serving/test_admission.py tests/serving/test_outages.py \
		tests/serving/test_faults.py tests/serving/test_rollout_faults.py tests/serving/test_shadows.py tests/serving/test_fuzz.py \
		tests/serving/test_grpc.py tests/app/test_jobs_fuzz.py tests/app/test_outage.py

scenarios: $(READY)  ## Play the five fault scenarios with their controls; reports and pictures in examples/faults/out
	for name in nulls units concept outcomes deployment; do $(BIN)/python examples/faults/$$name.py || exit 1; done

simulate: $(READY)  ## Simulate how often gates and experiments decide wrongly, and write both pages of docs (REPEATS=2000)
	$(BIN)/python benchmarks/decision_quality.py $(if $(REPEATS),--repeats $(REPEATS))
	$(BIN)/python benchmarks/experiment_quality.py $(if $(REPEATS),--repeats $(REPEATS))

mlflow: $(MLFLOW)/.ready  ## Install the newest MLflow into .venv-mlflow, for the tests of its mirror

docs: $(READY)  ## Build the documentation into site/, with warnings as errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Rebuilt when the dependencies change. The pip that comes with Python may not know --group, so it goes first.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Treadle needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[all]' --group dev --group docs --group demo
	@touch $@

# With an empty store beside it: to make one takes MLflow longer than to start. Most of it is never imported, so not compiled.
$(MLFLOW)/.ready: tests/mlflow.txt
	$(PYTHON) -m venv $(MLFLOW)
	$(MLFLOW)/bin/python -m pip install --no-compile --quiet --disable-pip-version-check --requirement tests/mlflow.txt
	rm -f $(MLFLOW)/empty.db
	$(MLFLOW)/bin/mlflow db upgrade sqlite:///$(MLFLOW)/empty.db > /dev/null 2>&1
	@touch $@
