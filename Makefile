# Every target builds .venv by itself when it is missing or older than the files that say what goes into it.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: quickstart test test-cluster test-faults wheel-test docs lint figures benchmark clean

quickstart: $(INSTALLED)  ## train small two-layer students and draw how they specialize
	rm -rf runs/quickstart/latest
	$(BIN)/python -m tsl.fit --config configs/two_layer.yaml --config configs/quickstart.yaml --version latest
	$(BIN)/python -m tsl.figures l-shape runs/quickstart/latest --out figures/quickstart_l_shape.png
	$(BIN)/python -m tsl.figures success-rate runs/quickstart/latest --out figures/quickstart_success_rate.png

test: $(INSTALLED)  ## run the tests, one thread in each of two processes
	OMP_NUM_THREADS=1 WANDB_MODE=offline $(BIN)/python -m pytest --numprocesses 2 --dist worksteal \
		-m "not faults and not in_a_process_of_its_own and not cluster"

test-cluster: $(INSTALLED)  ## run the tests of Ray, and of SLURM where it is installed
	OMP_NUM_THREADS=1 WANDB_MODE=offline $(BIN)/python -m pytest -m cluster tests/experiments

test-faults: $(INSTALLED)  ## kill, fill and start runs twice, many times, with real processes; hours
	OMP_NUM_THREADS=1 WANDB_MODE=offline $(BIN)/python -m pytest -m "faults or not in_a_process_of_its_own" tests/faults

wheel-test: $(INSTALLED)  ## build sdist and wheel, and use the installed wheel from an empty directory
	tests/wheel_smoke_test.sh

docs: $(INSTALLED)  ## build the documentation site, and run its tutorials; to read it, open build/docs/index.html
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/docs

lint: $(INSTALLED)  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

figures: $(INSTALLED)  ## run and draw experiments E1-E5 at quick scale
	for experiment in E1 E2 E3 E4 E5; do $(BIN)/python -m tsl.reproduce $$experiment --scale quick || exit 1; done

benchmark: $(INSTALLED)  ## measure speed and memory; nothing else should run meanwhile
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/deep.py
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/inputs.py
	$(BIN)/python benchmarks/augmentation.py
	$(BIN)/python benchmarks/images_data.py
	$(BIN)/python benchmarks/images.py
	$(BIN)/python -m benchmarks.report
	$(BIN)/python -m benchmarks.launchers

clean:  ## remove the virtual environment
	rm -rf .venv

# torch and torchvision come in one resolution, so that they are builds of each other.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	touch $(INSTALLED)
