# Two commands for everybody: `make run` sets up and runs the demo station, `make test` sets up and passes the tests.

BIN := .venv/bin
DURATION ?=

.PHONY: run test test-slow test-train lint docs lock setup setup-dev clean

run: setup
	$(BIN)/stationcast run $(STATION) $(if $(DURATION),--duration $(DURATION)) $(ARGS)

test: setup-dev  # in three processes, as tests wait for much of their time; a library has one core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-slow: setup-dev
	$(BIN)/python -m pytest -m "slow and not train" $(ARGS)

test-train:  # of training, which needs PyTorch
	@.ci/setup bench dev heic parquet train
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m train -n 2 --dist loadfile $(ARGS)

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup-dev
	$(BIN)/python docs/make_settings.py

lock: setup-dev  # new hashes after a change of constraints.txt or of the dependencies; asks the package index for minutes
	$(BIN)/python .ci/lock.py

setup:
	@.ci/setup

setup-dev:
	@.ci/setup bench dev heic parquet

clean:
	rm -rf .venv out
