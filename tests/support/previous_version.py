"""The previous version of authgw, from the history of this repository, as a process."""

import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest

from tests.support.processes import LOGS, ROOT, GatewayProcess, untraced, wait_for

# The last commit before tokens of derived keys and compact records.
PREVIOUS = "61dcb63f0a09f44c40cc6e078c02f46eb9514988"
# The last commit before sessions of identity providers and their fields.
BEFORE_PROVIDERS = "8403e57b2302774ad1fa9d223341a9b8ae85b0ce"


def unpack_previous_version(folder: Path, commit: str = PREVIOUS) -> Path:
    """Write the package of a previous version into this folder, and return the folder."""
    git = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT)]
    done = subprocess.run(
        [*git, "archive", commit, "authgw"], capture_output=True, check=False, timeout=60
    )
    if done.returncode != 0:
        pytest.fail(
            f"the history lacks commit {commit}, the previous version: run "
            f"`git fetch --unshallow` ({done.stderr.decode().strip()})"
        )
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@dataclass
class PreviousGateway(GatewayProcess):
    """A gateway process of the package in `code`, in the place of the installed package."""

    code: Path = Path()

    def start(self) -> None:
        LOGS.add(self.folder / "log")
        kept = {name: value for name, value in os.environ.items() if "AUTHGW_" not in name}
        own = {"PYTHONPATH": str(self.code), "AUTHGW_SERVER__PORT": str(self.port)}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "authgw", "serve"],
                cwd=self.folder,
                env=untraced({**kept, **self.environ, **own}),
                stdout=log,
                stderr=log,
            )
        wait_for(self.port)
