"""`authgw doctor --nginx` on what a real nginx dumps: the shipped sites, and broken ones."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.doctor_cases import PASSES, UNDONE, WAYS, Case
from tests.support.doctor_recipe_cases import AGREEMENT, RECIPE
from tests.support.nginx_versions import NGINXES, system
from tests.support.processes import ROOT, authgw, authgw_here

CASES = {**RECIPE, **UNDONE, **WAYS, **PASSES, **AGREEMENT}
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


def test_the_shipped_site_is_clean(tmp_path: Path) -> None:
    told = authgw(tmp_path, "doctor", "--nginx", str(dumped(site(tmp_path))))
    assert told.stdout.startswith(CLEAN)
    assert (told.returncode, told.stderr) == (0, "")


@pytest.mark.parametrize("name", CASES)
def test_a_broken_site_is_found(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    conf = site(tmp_path)
    case.write(conf)
    findings = found(tmp_path, conf, case)
    assert len(findings) == 1, findings
    place, _, rest = findings[0].partition(f": {case.kind}: ")
    assert case.said.lower() in rest.lower(), findings
    file, _, line = place.rpartition(":")
    assert Path(file).is_file()
    assert 0 <= int(line) <= len(Path(file).read_text().splitlines())


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


@pytest.mark.parametrize("text", ["", "http {", "# configuration file /a/nginx.conf:\nhttp {\n"])
def test_what_is_no_dump_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "dump").write_text(text)
    told = authgw(tmp_path, "doctor", "--nginx", "dump")
    assert told.returncode == 1
    assert told.stderr.startswith("Error: dump: ")
    assert "Traceback" not in told.stderr
