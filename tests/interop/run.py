"""Run other people's OAuth clients and GraphQL audits against a sandbox gateway of our own: `make interop`."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from joserfc.jwk import ECKey

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KYOSEI = str(ROOT / ".venv/bin/kyosei")
SCRIPTS = ("flow.mjs", "dpop.mjs", "jws.mjs", "audit.mjs")
NEEDED_NODE = 20
SCRIPT_SECONDS = 180
STOP_SECONDS = 30

PARTY = "interop-bank"
REDIRECT_URI = "https://interop-bank.example/back"


def main() -> int:
    """1 if anything failed."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None or _major_version(node) < NEEDED_NODE:
        print(f"make interop needs Node.js {NEEDED_NODE} or newer, with npm, on the PATH")
        return 1
    if not _installed():
        print("make interop could not install the npm packages of tests/interop/package.json")
        return 1
    with tempfile.TemporaryDirectory(prefix="kyosei-interop-") as state, _gateway(state) as url:
        environment = os.environ | _registered(state) | {"KYOSEI_URL": url}
        failed = [script for script in SCRIPTS if not _passes([node, script], environment)]
    if failed:
        print(f"Failed: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def _major_version(node: str) -> int:
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    return int(done.stdout.lstrip("v").partition(".")[0])


def _installed() -> bool:
    """Whether the packages are there in the versions that are asked for, after installing them if need be."""
    wanted: dict[str, str] = json.loads((HERE / "package.json").read_text())["dependencies"]

    def found(name: str) -> str | None:
        manifest = HERE / "node_modules" / name / "package.json"
        return json.loads(manifest.read_text())["version"] if manifest.exists() else None

    if {name: found(name) for name in wanted} != wanted:
        install = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        if subprocess.run(install, cwd=HERE).returncode != 0:
            return False
    print("With " + ", ".join(f"{name} {version}" for name, version in wanted.items()), flush=True)
    return True


@contextlib.contextmanager
def _gateway(state: str) -> Iterator[str]:
    """A sandbox gateway; its URL."""
    command = [KYOSEI, "run", "--port", "0", "--state", state]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            words = process.stdout.readline().split()
            url = next((word for word in words if word.startswith("http://")), None)
            if url is None:
                raise SystemExit("the gateway did not start")
            yield url.removesuffix("/graphql")
        finally:
            process.terminate()
            try:
                process.communicate(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _registered(state: str) -> dict[str, str]:
    """Register the clients' relying party; what they have to know, for their environment."""
    key = ECKey.generate_key("P-256")
    registration = {
        "id": PARTY,
        "name": {"en": "Interop Bank", "ja": "相互銀行"},
        "sector": PARTY,
        "purposes": ["ACCOUNT_OPENING", "LENDING"],
        "address": "6-6 Tsuji, Osaka",
        "contact": "privacy@interop-bank.example",
        "oauth": {"keys": [{**key.as_dict(private=False), "kid": "1"}], "redirect_uris": [REDIRECT_URI]},
    }
    adding = [KYOSEI, "relying-party", "add", "-", "--state", state]
    subprocess.run(adding, input=json.dumps(registration), text=True, check=True, stdout=subprocess.DEVNULL)
    bank_key = subprocess.run(
        [KYOSEI, "sandbox", "key", "bank", "--state", state], check=True, capture_output=True, text=True
    )
    party = {"clientId": PARTY, "redirectUri": REDIRECT_URI, "privateJwk": key.as_dict(private=True)}
    return {
        "KYOSEI_INTEROP_PARTY": json.dumps(party),
        "KYOSEI_BANK_KEY": bank_key.stdout.strip(),
        "KYOSEI_ROTATE": json.dumps([KYOSEI, "keys", "rotate", "--state", state]),
    }


def _passes(command: list[str], environment: dict[str, str]) -> bool:
    try:
        return subprocess.run(command, cwd=HERE, env=environment, timeout=SCRIPT_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"FAIL  {command[-1]} took longer than {SCRIPT_SECONDS} s", flush=True)
        return False


if __name__ == "__main__":
    sys.exit(main())
