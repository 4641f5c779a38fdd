"""The running gateway conforms to /openapi.json for any input."""

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
    """Run all checks for an operation, except those disabled with a reason in schemathesis.toml."""
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


@pytest.mark.parametrize("with_credentials", [False, True], ids=["nobody", "valid credentials"])
def test_the_gateway_conforms_to_its_openapi_document(
    tmp_path: Path, with_credentials: bool
) -> None:
    running = make_gateway(tmp_path / "gateway")
    page = f"http://127.0.0.1:{running.port}/login"
    (running.folder / "config.yml").write_text(f"login: {{url: '{page}'}}\n")
    running.start()
    try:
        environ = {}
        if with_credentials:
            pair = (running.folder / "secrets" / "demo-client").read_text().strip()
            environ = {
                "AUTHGW_TEST_CLIENT": pair,
                "SCHEMATHESIS_HOOKS": "tests.e2e.schemathesis_hooks",
            }
        result = examine(running, tmp_path, **environ)
        assert result.returncode == 0, result.stdout + result.stderr
        paths = json.loads(ask(running.port, "GET", "/openapi.json").body)["paths"]
        count = sum(len(methods) for methods in paths.values())
        # A run without any request would pass too. It leaves out only the address from which it
        # reads the document.
        report = json.loads((tmp_path / "report.json").read_text())
        assert report["operations"]["tested"] == count - 1
        assert report["test_cases"]["generated"] > 300
        assert "internal_error" not in running.log
    finally:
        running.stop()
