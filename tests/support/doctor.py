"""The shipped site, what a real nginx dumps of it, and what the doctor finds there."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.doctor_cases import Case
from tests.support.nginx_versions import NGINXES, system
from tests.support.processes import ROOT, authgw_here

CLEAN = "Every location that proxies asks the gateway, as the recipe does"


def dumped(folder: Path, program: Sequence[str] = ()) -> Path:
    """Write the dump of the site in a folder by a real nginx."""
    words = [*(program or system()), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    told = subprocess.run(
        [*words, "-e", "stderr", "-T"], capture_output=True, text=True, check=False, timeout=20
    )
    assert told.returncode == 0, told.stderr
    (folder / "dump").write_text(told.stdout)
    return folder / "dump"


def site(folder: Path) -> Path:
    """Copy the shipped site."""
    shutil.copytree(ROOT / "nginx", folder / "conf")
    return folder / "conf"


def found(folder: Path, conf: Path, case: Case) -> list[str]:
    """Return the findings of the doctor, and check its status."""
    (folder / "config.yml").write_text(case.config)
    # Debian's package has no modules for these.
    newest = any(word in case.new for word in ("stream {", "more_set_input", "echo "))
    program = NGINXES["wheel"]() if newest else ()
    told = authgw_here(folder, "doctor", "--nginx", str(dumped(conf, program)))
    *findings, summary = told.output.splitlines()
    assert told.exit_code == (0 if case.kind == "fault" else 1), told.output
    assert summary.startswith("Not checked" if case.kind == "not checked" else "Everything was")
    return findings


def dump_of(root: Path, program: list[str], *words: str) -> str:
    """Return what this NGINX dumps of a tree."""
    words = words or ("-p", str(root))
    told = subprocess.run(
        [*program, *words, "-c", "nginx.conf", "-e", "stderr", "-T"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout
