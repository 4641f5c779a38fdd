"""The live gateway keeps to what /openapi.json says of it, whatever it is sent."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT, GatewayProcess, ask, make_gateway, untraced

HERE = Path(__file__).parent
SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"


def examine(
    gateway: GatewayProcess, folder: Path, **environ: str
) -> "subprocess.CompletedProcess[str]":
    """All checks but those that schemathesis.toml turns off, with a reason, for one operation."""
    return subprocess.run(
        [
            str(SCHEMATHESIS),
            "--config-file",
            str(HERE / "schemathesis.toml"),
            "run",
            f"http://127.0.0.1:{gateway.port}/openapi.json",
            "--phases",
            "coverage,fuzzing",
            "--report-json-path",
            str(folder / "report.json"),
        ],
        cwd=ROOT,
        env={**untraced(os.environ), "NO_COLOR": "1", "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.mark.parametrize("known", [False, True], ids=["nobody", "valid credentials"])
def test_it_keeps_to_its_description(tmp_path: Path, known: bool) -> None:
    made = make_gateway(tmp_path / "gateway")
    page = f"http://127.0.0.1:{made.port}/login"
    (made.folder / "config.yml").write_text(f"login: {{url: '{page}'}}\n")
    made.start()
    try:
        environ = {}
        if known:
            pair = (made.folder / "secrets" / "demo-client").read_text().strip()
            environ = {
                "AUTHGW_TEST_CLIENT": pair,
                "SCHEMATHESIS_HOOKS": "tests.e2e.schemathesis_hooks",
            }
        seen = examine(made, tmp_path, **environ)
        assert seen.returncode == 0, seen.stdout + seen.stderr
        paths = json.loads(ask(made.port, "GET", "/openapi.json").body)["paths"]
        count = sum(len(methods) for methods in paths.values())
        # An examination that asked nothing would be content too. It leaves out only the address
        # that it reads the description from.
        said = json.loads((tmp_path / "report.json").read_text())
        assert said["operations"]["tested"] == count - 1
        assert said["test_cases"]["generated"] > 300
        assert "internal_error" not in made.log
    finally:
        made.stop()
