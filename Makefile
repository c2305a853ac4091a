# Two commands: `make demo` and `make test`. Each sets everything up by itself.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
# `make test EXTRAS=dev,elpv,ray` tests the engine ray too, whose packages take 350 MB.
EXTRAS ?= dev,elpv
SHARE ?= 1
# ELPV comes from the package index; give the raw folders of the others that you have:
# make benchmark HEADCT=... SDD=... AITEX=...
DATASETS := --dataset elpv $(if $(HEADCT),--dataset headct=$(HEADCT)) \
	$(if $(SDD),--dataset sdd=$(SDD)) $(if $(AITEX),--dataset aitex=$(AITEX))
RESULTS ?= benchmarks/results
MEASURE = $(BIN)/ahl benchmark run $(DATASETS) --threads 1 --resume
BASES := --method dra --method +alone --method ahl-dra \
	--method devnet --method +alone+devnet --method ahl-devnet
RIVALS := --method flos --method saoe --method mlep --method patchcore --method kdad \
	--method fs-dra --method logistic
PAPER := --method dra --method ahl-dra --method devnet --method ahl-devnet \
	--preset paper --stages 4 --image-size 128 --as-published

.PHONY: help setup demo test check types mutants hostile audit benchmark docs docs-links dist dist-test clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/ -/'

setup: $(STAMP)  ## create .venv and install ahl with the committed versions

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed; name yours with: make PYTHON=python3 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$(EXTRAS)]"
	touch $(STAMP)

demo: setup  ## draw inspection images, train, evaluate; leaves demo/report.html
	$(BIN)/ahl demo --output demo

check: setup  ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

types: setup  ## the types of the public names, as a type checker sees them (basedpyright)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt basedpyright
	$(BIN)/python tests/public_types.py

# One torch thread a worker: two workers of two threads on two cores slow each other down.
test: check  ## lint, types and every test
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# One room or file: make mutants ONLY=evidence
mutants: setup  ## put known defects in, one by one; fails if the tests let 5 % through
	WORKERS=$(WORKERS) $(BIN)/python tests/mutants/run.py $(ONLY)

# A twentieth of it: make hostile SHARE=0.05
hostile: setup  ## floods, malformed files and requests, kills and load; fails if anything breaks
	$(BIN)/python benchmarks/reliability/hostile.py --share $(SHARE)

# Status 3: not every package could be looked up, or no database reached.
audit: setup  ## known vulnerabilities of the pinned dependencies, by pip-audit
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip-audit
	$(BIN)/python benchmarks/reliability/audit.py

# Hours; killed, it goes on where it was. Tables need the extra benchmark.
benchmark: $(VENV)/.extra-benchmark $(VENV)/.extra-elpv  ## measure the published tables anew, of the datasets that are there
	$(MEASURE) $(BASES) $(RIVALS) --anomalies 10 --anomalies 1 --as-published --output $(RESULTS)/table
	$(MEASURE) $(BASES) $(RIVALS) --setting hard --anomalies 10 --anomalies 1 --as-published --output $(RESULTS)/table
	$(MEASURE) --method +alone --method patchcore --method logistic --output $(RESULTS)/table
	$(MEASURE) --ablation table5 --as-published --output $(RESULTS)/ablation
	$(MEASURE) $(PAPER) --output $(RESULTS)/frozen
	$(MEASURE) $(PAPER) --finetune --output $(RESULTS)/finetuned
	for table in table ablation frozen finetuned; do $(BIN)/ahl benchmark report $(RESULTS)/$$table || exit 1; done

# Packages that one target alone needs are installed with it.
$(VENV)/.extra-%: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$*]"
	touch $@

docs: $(VENV)/.extra-docs  ## build the site into build/docs; a warning or a broken link is an error
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -c docs -b html . build/docs

docs-links: $(VENV)/.extra-docs  ## try the links that lead elsewhere; needs the internet
	$(BIN)/sphinx-build --quiet -c docs -b linkcheck . build/links

dist: $(VENV)/.extra-dist  ## build wheels and sdists of ahl and ahl-runtime into dist, and check them
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m build --outdir dist runtime
	$(BIN)/twine check --strict dist/*

dist-test: dist  ## install each wheel in an empty environment and run the demo there
	rm -rf build/empty build/light
	$(PYTHON) -m venv build/empty
	build/empty/bin/pip install --quiet --disable-pip-version-check dist/ahl-[0-9]*.whl
	build/empty/bin/ahl demo --output build/empty/demo
	$(PYTHON) -m venv build/light
	build/light/bin/pip install --quiet --disable-pip-version-check dist/ahl_runtime-*.whl
	build/light/bin/ahl --version

clean:  ## remove everything made by make
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache
