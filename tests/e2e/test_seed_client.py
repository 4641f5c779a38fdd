"""The Go service's client: five calls by curl, as in its README."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import make_gateway

# $LOGIN_WITH is the only addition; if it is empty, the script is unchanged.
SCRIPT = r"""
set -euo pipefail
curl -sf $URL/ping; echo
PAIR=$(curl -sf -X POST $URL/login $LOGIN_WITH \
  -H "Content-Type: application/json" \
  -d '{"user_id": 1}')
ACCESS=$(echo "$PAIR" | sed 's/.*"access": *"\([^"]*\)".*/\1/')
REFRESH=$(echo "$PAIR" | sed 's/.*"refresh": *"\([^"]*\)".*/\1/')
curl -sf -X GET $URL/authenticate \
  -H "Authorization: Bearer $ACCESS"; echo
curl -sf -X POST $URL/refresh \
  -H "Content-Type: application/json" \
  -d "{\"refresh\": \"$REFRESH\"}" >/dev/null
curl -sf -o /dev/null -w 'logout %{http_code} %{size_download}\n' -X POST $URL/logout \
  -H "Authorization: Bearer $ACCESS"
curl -s -o /dev/null -w 'after %{http_code}\n' -X GET $URL/authenticate \
  -H "Authorization: Bearer $ACCESS"
"""


@pytest.mark.parametrize("door", ["with a client secret", "open"])
def test_the_five_calls(tmp_path: Path, door: str) -> None:
    if shutil.which("curl") is None:
        pytest.fail("curl is missing: apt-get install curl")
    opened = {"AUTHGW_AUTH__OPEN_LOGIN": "true"} if door == "open" else {}
    gateway = make_gateway(tmp_path / "gateway", **opened)
    gateway.start()
    pair = (gateway.folder / "secrets" / "demo-client").read_text().strip()
    environ = {
        "PATH": "/usr/bin:/bin",
        "URL": f"http://127.0.0.1:{gateway.port}",
        "LOGIN_WITH": "" if opened else f"-u {pair}",
    }
    try:
        done = subprocess.run(
            ["bash", "-c", SCRIPT], env=environ, text=True, capture_output=True, check=True
        )
    finally:
        gateway.stop()
    lines = done.stdout.splitlines()
    assert lines[0] == "pong"
    assert '"user_id": 1' in lines[1]
    assert lines[2:] == ["logout 200 0", "after 401"]
    assert ("auth.open_login" in gateway.log) == bool(opened)
