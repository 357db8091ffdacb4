# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
# Every verb works on a fresh clone by itself: it creates .venv and installs what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export HF_HUB_OFFLINE ?= 1

.DEFAULT_GOAL := help
.PHONY: help install test check demo bundle picture docs clean

help:  ## list the verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(INSTALLED)  ## create .venv and install gsocc into it

# One process per core, each with one thread.
test: $(INSTALLED)  ## run the tests that need neither a GPU nor ROS
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

check: $(INSTALLED)  ## lint, format check and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

demo: $(INSTALLED)  ## drive a synthetic street through the shipped model, from pictures to a bag and a film
	$(BIN)/python scripts/demo.py

bundle: $(INSTALLED)  ## train the shipped model again and score it (hours)
	$(BIN)/python scripts/train_demo_bundle.py

picture: demo  ## draw the picture of the README again: the demo's middle key frame
	cp demo_output/frame.png docs/images/drive.png

$(VENV)/.docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@

docs: $(VENV)/.docs  ## build the documentation as a web site into site/; a broken link is an error
	$(BIN)/mkdocs build --strict

clean:  ## delete what the verbs made
	rm -rf $(VENV) build install log demo_output site .mypy_cache .ruff_cache .pytest_cache .hypothesis
