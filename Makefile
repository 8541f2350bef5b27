# make reports · make test · make lab: each sets up .venv by itself, from requirements.lock, when it is missing or out of date.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)
READY := .venv/.ready
BIN := .venv/bin

.PHONY: reports test lab lock clean
.DELETE_ON_ERROR:

reports: $(READY)   ## the PDF reports, into reports/build/
	@$(BIN)/wattshift render

test: $(READY)      ## format, lint, types, then every test
	@$(BIN)/ruff format --check -q . && $(BIN)/ruff check -q . && $(BIN)/mypy && $(BIN)/nbstripout --verify notebooks/*.ipynb
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

lab: $(READY)       ## the notebooks in JupyterLab
	@$(BIN)/jupyter lab notebooks

lock: $(READY)      ## compile requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade \
		--custom-compile-command "make lock" --group dev pyproject.toml --output-file requirements.lock.new
	@mv requirements.lock.new requirements.lock

clean:              ## everything a machine wrote: the environment, reports, caches
	@rm -rf .venv reports/build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find lib tests notebooks -name __pycache__ -prune -exec rm -rf {} +

# The marker is written last, so an interrupted set-up starts again from an empty folder on the next call.
$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "wattshift needs Python 3.11, 3.12 or 3.13, and none was found on this machine (if there is one elsewhere: make $(MAKECMDGOALS) PYTHON=/path/to/python3.13)." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { echo "wattshift needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' is another or does not run." >&2; exit 2; }
	@echo "Setting up .venv from requirements.lock (about a minute the first time) ..."
	@$(PYTHON) -m venv --clear .venv
	@sed -n '/^uv==/,/^    # via/p' requirements.lock > .venv/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@
