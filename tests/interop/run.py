"""Run other people's OAuth clients against a sandbox gateway of our own: `make interop`."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from joserfc.jwk import ECKey

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KYOSEI = str(ROOT / ".venv/bin/kyosei")
SCRIPTS = ("flow.mjs", "dpop.mjs", "jws.mjs")
NEEDED_NODE = 20


def main() -> int:
    """The number of scripts that failed."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None or major_version(node) < NEEDED_NODE:
        print(f"make interop needs Node.js {NEEDED_NODE} or newer, with npm, on the PATH")
        return 1
    install = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(install, cwd=HERE, check=True)
    with tempfile.TemporaryDirectory(prefix="kyosei-interop-") as state:
        gateway = subprocess.Popen(
            [KYOSEI, "run", "--port", "0", "--state", state], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        try:
            assert gateway.stdout is not None
            url = next(word for word in gateway.stdout.readline().split() if word.startswith("http://"))
            environment = os.environ | registered(state) | {"KYOSEI_URL": url.removesuffix("/graphql")}
            return sum(
                subprocess.run([node, script], cwd=HERE, env=environment).returncode != 0 for script in SCRIPTS
            )
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.communicate()


def major_version(node: str) -> int:
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    return int(done.stdout.lstrip("v").partition(".")[0])


def registered(state: str) -> dict[str, str]:
    """Register the clients' relying party; its keys, for their environment."""
    key = ECKey.generate_key("P-256")
    registration = {
        "id": "interop-bank",
        "name": {"en": "Interop Bank", "ja": "相互銀行"},
        "sector": "interop-bank",
        "purposes": ["ACCOUNT_OPENING", "LENDING"],
        "address": "6-6 Tsuji, Osaka",
        "contact": "privacy@interop-bank.example",
        "oauth": {
            "keys": [{**key.as_dict(private=False), "kid": "1"}],
            "redirect_uris": ["https://interop-bank.example/back"],
        },
    }
    adding = [KYOSEI, "relying-party", "add", "-", "--state", state]
    subprocess.run(adding, input=json.dumps(registration), text=True, check=True)
    keys = {"privateJwk": key.as_dict(private=True), "publicJwk": key.as_dict(private=False)}
    return {
        "KYOSEI_INTEROP_KEYS": json.dumps(keys),
        "KYOSEI_ROTATE": json.dumps([KYOSEI, "keys", "rotate", "--state", state]),
    }


if __name__ == "__main__":
    sys.exit(main())
