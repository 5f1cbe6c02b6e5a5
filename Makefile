# Every target sets up what it needs: python3 >= 3.11 with venv, and make, are enough.
SHELL := /bin/bash
PY ?= python3
UV := .tools/bin/uv
BIN := .venv/bin
export UV_PYTHON_DOWNLOADS := never

.PHONY: setup run test check soak bench bench-peers bench-overload bench-scaling bench-steps bench-workers interop schema format

setup: .venv/.stamp

$(UV):
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Kyosei Gateway needs Python 3.11 or newer; $(PY) is older. Try: make PY=python3.12"; exit 1; }
	$(PY) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv==0.13.*'

.venv/.stamp: $(UV) pyproject.toml uv.lock
	$(UV) sync --locked --all-extras --compile-bytecode --quiet --python $(PY)
	@touch $@

run: setup
	$(BIN)/kyosei run

# Three at a time: much of it is waiting.
test: setup
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# The heavy tests at their full counts; `make test` runs a tenth of them.
soak: setup
	KYOSEI_SOAK=1 $(BIN)/python -m pytest -m soak

# What one question costs, beside a first try: five rounds of each, about five minutes.
bench: setup
	$(BIN)/python -m tests.benchmarks.bench --keep

# The same beside Mercurius, Apollo Server, and Hive Gateway with Mesh. Node.js is needed.
bench-peers: setup
	$(BIN)/python -m tests.benchmarks.bench --peers --keep

# What a gateway does at five times what it can: goodput, latencies, revocations.
bench-overload: setup
	$(BIN)/python -m tests.benchmarks.overload

# Whether a question costs the same among a thousand consents and among a million.
bench-scaling: setup
	$(BIN)/python -m tests.benchmarks.scaling

# Where the time of one question goes, by step of the pipeline.
bench-steps: setup
	$(BIN)/python -m tests.benchmarks.steps

# What a second process adds, on PostgreSQL.
bench-workers: setup
	$(BIN)/python -m tests.benchmarks.workers

# Other people's OAuth clients and audits against a sandbox gateway. Node.js is needed here and nowhere else.
interop: setup
	$(BIN)/python tests/interop/run.py

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: setup
	$(BIN)/kyosei schema > schema.graphql
