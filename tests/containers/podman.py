"""Podman with a store, networks and images of its own, removed at the end of the session."""

import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT

_PROGRAMS = {
    "podman": "podman",
    "runc": "runc",
    "debootstrap": "debootstrap",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
    "ip": "iproute2",
    "iptables": "iptables",
}
# From <linux/sched.h>; os.unshare exists from Python 3.12 on.
_NEW_MOUNTS, _NEW_NETWORK = 0x00020000, 0x40000000
# Podman's defaults are more than root without CAP_SYS_RESOURCE may set.
_MAX_FILES, _MAX_PROCESSES = 20_000, 4096


def require_programs() -> None:
    """Fail with the command that installs what is missing."""
    missing = [package for program, package in _PROGRAMS.items() if not shutil.which(program)]
    if missing:
        pytest.fail(f"containers need more programs: apt-get install {' '.join(missing)}")
    if not compose_program().exists():
        pytest.fail("podman-compose is missing: make install")
    if os.geteuid() != 0:
        pytest.fail("containers need root: sudo make containers")


def compose_program() -> Path:
    return Path(sys.executable).parent / "podman-compose"


def leave_mounts() -> None:
    """Give this process a mount namespace: what Podman mounts disappears with it."""
    _unshare(_NEW_MOUNTS)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def leave_network() -> None:
    """Give this process a network of its own, in which every port and address is free."""
    _unshare(_NEW_NETWORK)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def _unshare(flags: int) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


class Podman:
    """Commands of Podman and podman-compose on one store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {
            **os.environ,
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            # Health checks are run by the tests, not by timers of systemd.
            "DISABLE_HC_SYSTEMD": "true",
        }
        _write_settings(folder)

    def run(self, *words: str | Path, timeout: float = 300) -> str:
        """Run a command of Podman that must succeed; return its output without the last newline."""
        result = self.attempt(*words, timeout=timeout)
        assert result.returncode == 0, f"podman {words}: {result.stdout}{result.stderr}"
        return result.stdout.rstrip("\n")

    def attempt(
        self, *words: str | Path, timeout: float = 300
    ) -> "subprocess.CompletedProcess[str]":
        return self._execute("podman", *words, timeout=timeout)

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("inspect", name))[0]
        return found

    def shell(self, name: str, script: str) -> str:
        """Run a script of bash inside a container; return its output, of both kinds."""
        result = self.attempt("exec", name, "bash", "-c", script, timeout=30)
        return result.stdout + result.stderr

    def wait_until_healthy(self, name: str) -> None:
        for _ in range(150):
            if self.attempt("exec", name, "healthcheck").returncode == 0:
                return
            time.sleep(0.2)
        pytest.fail(f"{name} is not healthy: {self.attempt('logs', name)}")

    def compose(self, *words: str) -> str:
        """Run a command of podman-compose on the file of this repository."""
        result = self._execute(compose_program(), *words, timeout=300)
        assert result.returncode == 0, f"podman-compose {words}: {result.stdout}{result.stderr}"
        return result.stdout

    def _execute(self, *words: str | Path, timeout: float) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(word) for word in words],
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def _write_settings(folder: Path) -> None:
    files, processes = (
        min(most, resource.getrlimit(kind)[1])
        for most, kind in (
            (_MAX_FILES, resource.RLIMIT_NOFILE),
            (_MAX_PROCESSES, resource.RLIMIT_NPROC),
        )
    )
    (folder / "containers.conf").write_text(
        f"""[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{folder}/run/libpod"
static_dir = "{folder}/store/libpod"
volume_path = "{folder}/store/volumes"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
    )
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "{_driver()}"\ngraphroot = "{folder}/store"\n'
        f'runroot = "{folder}/run"\n'
    )


def _driver() -> str:
    overlay = "overlay" in Path("/proc/filesystems").read_text()
    return "overlay" if overlay else "vfs"


@contextmanager
def opened() -> Iterator[Podman]:
    """A Podman without images; what it runs ends with the block."""
    # Not below /tmp, which may be a small file system in memory.
    folder = Path(tempfile.mkdtemp(prefix="authgw-containers-", dir="/var/tmp"))
    podman = Podman(folder)
    try:
        yield podman
    finally:
        podman.attempt("rm", "--all", "--force", "--time", "0", "--volumes")
        podman.attempt("network", "prune", "--force")
        subprocess.run(["umount", "--lazy", folder / "store" / "overlay"], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
