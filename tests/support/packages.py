"""The packages of this repository: built once, and installed without a registry."""

import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.support.processes import ROOT

BIN = Path(sys.executable).parent


def run(*words: str | Path, cwd: Path = ROOT) -> str:
    """Run a command that succeeds, and return its output."""
    command = [str(word) for word in words]
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def lend_dependencies(environment: Path) -> None:
    """Let an environment import the dependencies that the environment of the tests has."""
    (packages,) = environment.glob("lib/python*/site-packages")
    # A path in a .pth file is searched for modules; its own .pth files, of which one names the
    # source of authgw, are not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
