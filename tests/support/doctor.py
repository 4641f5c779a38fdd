"""Copies of the shipped site, their dumps by a real NGINX, and the doctor's findings."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.doctor_cases import DumpCase
from tests.support.nginx_versions import NGINXES, system
from tests.support.processes import ROOT, authgw_here

CLEAN = "Every location that proxies is protected as in the recipe"


def write_dump(directory: Path, program: Sequence[str] = ()) -> Path:
    """Let NGINX dump the site in a directory, and return the file with its output."""
    words = [*(program or system()), "-p", str(directory), "-c", str(directory / "nginx.conf")]
    result = subprocess.run(
        [*words, "-e", "stderr", "-T"], capture_output=True, text=True, check=False, timeout=20
    )
    assert result.returncode == 0, result.stderr
    (directory / "dump").write_text(result.stdout)
    return directory / "dump"


def copy_site(directory: Path) -> Path:
    """Copy the shipped site into a directory and return the copy."""
    shutil.copytree(ROOT / "nginx", directory / "conf")
    return directory / "conf"


def doctor_findings(directory: Path, conf: Path, case: DumpCase) -> list[str]:
    """Run the doctor on a site, check its exit status, and return the lines of its findings."""
    (directory / "config.yml").write_text(case.config)
    # Debian's package has no modules for these.
    newest = any(word in case.new for word in ("stream {", "more_set_input", "echo "))
    program = NGINXES["wheel"]() if newest else ()
    result = authgw_here(directory, "doctor", "--nginx", str(write_dump(conf, program)))
    *findings, summary = result.output.splitlines()
    assert result.exit_code == (0 if case.kind == "fault" else 1), result.output
    assert summary.startswith("Not checked" if case.kind == "not checked" else "Everything was")
    return findings


def dump_of(root: Path, program: list[str], *words: str) -> str:
    """Return the dump of a tree by this NGINX."""
    words = words or ("-p", str(root))
    result = subprocess.run(
        [*program, *words, "-c", "nginx.conf", "-e", "stderr", "-T"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
