# make demo      a trained autoencoder and its pictures, from nothing
# make test      the tests that every change should pass, in minutes
# make test-all  those, then the ones that are long by nature, with the lines and branches that none of them reaches
# make check     lint and types
# make bench     the figures of docs/performance.md and docs/results.md
# make soak      trainings, studies, imports and reconstructions killed at random instants and given again
# make fuzz      damaged inputs at random, for MINUTES=3
# make audit     known holes in the dependencies, where their database can be reached
# make docs      the site of the documentation, in build/site
#
# WHEEL=dist/aecli-0.1.0-py3-none-any.whl make test   tests that wheel, instead of the folder src

PYTHON ?= python3
BIN := .venv/bin
AE := $(BIN)/ae
PIP := $(BIN)/python -m pip --disable-pip-version-check
AECLI := $(if $(WHEEL),'$(WHEEL)[train]',-e '.[train]')

.PHONY: demo test test-all check bench soak fuzz audit docs clean

demo: .venv/installed
	@mkdir -p demo
	$(AE) train --config configs/relu.yaml --data data/digits.npy --run demo/relu --overwrite \
	    --set model.latent_dim=16 --set training.batch_size=32 --set training.epochs=100
	$(AE) reconstruct data/digits.npy --run demo/relu --output demo/digits_reconstructed.npy --overwrite
	$(AE) plot --worst 10 --run demo/relu --output demo/worst.png --overwrite
	@echo
	@echo "Look at demo/digits_reconstructed.png (originals, reconstructions, errors), demo/worst.png and"
	@echo "demo/relu/plots/. Next, with your own images:  $(AE) train photos/"

test: .venv/installed-dev
	$(BIN)/pytest -n auto --dist loadfile -m "not long" $(COVERAGE)

test-all: .venv/installed-dev
	$(MAKE) test COVERAGE="--cov --cov-report="
	$(BIN)/pytest -n auto -m long --cov --cov-append

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check src tests scripts docs/conf.py
	$(BIN)/mypy

bench: .venv/installed-dev
	$(BIN)/python scripts/bench.py
	$(BIN)/python scripts/bench_conv.py
	$(BIN)/python scripts/bench_scale.py
	$(BIN)/python scripts/bench_study.py
	$(BIN)/python scripts/bench_commands.py
	$(BIN)/python scripts/figures.py

soak: .venv/installed-dev
	$(BIN)/python scripts/soak.py

fuzz: .venv/installed-dev
	$(BIN)/python scripts/fuzz.py --minutes $(or $(MINUTES),3)

audit: .venv/installed-dev
	@$(BIN)/python scripts/audit.py

docs: .venv/installed-dev
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env docs build/site
	@echo "build/site/index.html"

clean:
	rm -rf .venv build demo

.venv/python: Makefile
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	    { echo "ae needs Python 3.11, 3.12 or 3.13; say which: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@touch $@

.venv/installed: .venv/python pyproject.toml
	@echo "Installing ae and TensorFlow into .venv: downloads of 0.7 GB, which become 2.5 GB on disk."
	@echo "On a quiet machine with a fast line all of make demo takes about 100 s, and nearly all of them are this:"
	$(PIP) install $(AECLI)
	@touch $@

.venv/installed-dev: .venv/python pyproject.toml
	@echo "Installing ae, TensorFlow and the tools of the tests into .venv: some minutes, nearly all of them downloads."
	@$(PIP) install --quiet --upgrade 'pip>=25.1'  # it knows --group
	@$(PIP) install --quiet $(AECLI) --group dev
	@touch $@ .venv/installed
