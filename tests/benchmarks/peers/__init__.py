"""What a user would take instead: Node.js servers over the same sources, started here."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import pin

HERE = Path(__file__).parent
HIVE = "hive"
PEERS = ("mercurius", "apollo", HIVE)
RECORDS = """
query($card: String!) {
  immigration(card: $card) { stayUntil address revoked }
  labor(card: $card) { hiredOn hours }
  tax(card: $card) { salaryIncome unpaid }
  insurance(card: $card) { months }
}
"""
"""What Hive Gateway is asked: what the others need of the four records, and no comparisons."""


def missing() -> str:
    """Why they cannot be started here; "" if they can. Installs their packages if need be."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "Node.js with npm is not on the PATH"
    wanted, installed = HERE / "package.json", HERE / "node_modules" / "installed.json"
    if not installed.exists() or installed.read_bytes() != wanted.read_bytes():
        install = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        if subprocess.run(install, cwd=HERE).returncode != 0:
            return "the npm packages of tests/benchmarks/peers/package.json could not be installed"
        shutil.copy(wanted, installed)
    return ""


def start_peer(name: str, stub_port: int, processor: int) -> tuple[dict[str, Any], subprocess.Popen[str]]:
    """Where a peer listens and its process id, and its process."""
    process = subprocess.Popen(
        ["node", str(HERE / f"{name}.mjs"), str(stub_port)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "NODE_ENV": "production"},
        preexec_fn=lambda: pin(processor),
    )
    assert process.stdout is not None
    return json.loads(process.stdout.readline()), process
