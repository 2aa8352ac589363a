# make demo   fits the annealing law to four short runs, predicts four longer ones, draws out/annealing.png
# make test   runs the tests: two processes of one thread each
# make site   builds the pages of this repository as a site, out/site/README.html; a warning is an error
# Both make the virtual environment if it is missing; the tests also install torch.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install -q --disable-pip-version-check

.PHONY: demo test lint types benchmarks docs site notebooks clean

$(VENV)/core: pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/all: $(VENV)/core
	$(PIP) -e '.[proxy,dev]'
	touch $@

demo: $(VENV)/core
	mkdir -p out
	$(BIN)/scalefit fit data/schedules/curves.csv --schedule data/schedules/lr.csv.gz \
	  --where "d_model == 96" --law annealing:decay=0.99 --hold-out "steps > 1600" \
	  --save out/annealing.json --plot out/annealing.png

test: $(VENV)/all
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2

lint: $(VENV)/all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/all
	$(BIN)/mypy

docs: $(VENV)/all
	$(BIN)/python docs/make_laws.py

site: $(VENV)/core
	$(PIP) -e '.[site]'
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -q -W --keep-going -c docs/site -b html . out/site

notebooks: $(VENV)/all
	$(BIN)/python examples/make_notebooks.py

benchmarks: $(VENV)/all
	$(BIN)/python benchmarks/fit.py

clean:
	rm -rf $(VENV) out
