"""`authgw doctor --nginx` on what a real nginx dumps: the shipped sites, and broken ones."""

from pathlib import Path

import pytest

from tests.support.doctor import CLEAN, dumped, found, site
from tests.support.doctor_recipe_cases import AGREEMENT, RECIPE
from tests.support.doctor_undone_cases import UNDONE
from tests.support.doctor_ways_cases import PASSES, WAYS
from tests.support.processes import authgw

CASES = {**RECIPE, **UNDONE, **WAYS, **PASSES, **AGREEMENT}


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


@pytest.mark.parametrize("text", ["", "http {", "# configuration file /a/nginx.conf:\nhttp {\n"])
def test_what_is_no_dump_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "dump").write_text(text)
    told = authgw(tmp_path, "doctor", "--nginx", "dump")
    assert told.returncode == 1
    assert told.stderr.startswith("Error: dump: ")
    assert "Traceback" not in told.stderr
