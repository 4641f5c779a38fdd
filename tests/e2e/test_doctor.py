"""`authgw doctor --nginx` on dumps of a real NGINX: the shipped site, and sites with defects."""

from pathlib import Path

import pytest

from tests.support.doctor import CLEAN, copy_site, doctor_findings, write_dump
from tests.support.doctor_bypass_cases import BYPASSES, TRANSPORTS
from tests.support.doctor_override_cases import OVERRIDES
from tests.support.doctor_recipe_cases import INCOMPLETE, MISMATCHES
from tests.support.processes import authgw

CASES = {**INCOMPLETE, **OVERRIDES, **BYPASSES, **TRANSPORTS, **MISMATCHES}


def test_shipped_site_is_clean(tmp_path: Path) -> None:
    result = authgw(tmp_path, "doctor", "--nginx", str(write_dump(copy_site(tmp_path))))
    assert result.stdout.startswith(CLEAN)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", CASES)
def test_defect_is_reported(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    conf = copy_site(tmp_path)
    case.write(conf)
    findings = doctor_findings(tmp_path, conf, case)
    assert len(findings) == 1, findings
    place, _, rest = findings[0].partition(f": {case.kind}: ")
    assert case.message.lower() in rest.lower(), findings
    file, _, line = place.rpartition(":")
    assert Path(file).is_file()
    assert 0 <= int(line) <= len(Path(file).read_text().splitlines())


@pytest.mark.parametrize("text", ["", "http {", "# configuration file /a/nginx.conf:\nhttp {\n"])
def test_invalid_dump_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "dump").write_text(text)
    result = authgw(tmp_path, "doctor", "--nginx", "dump")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: dump: ")
    assert "Traceback" not in result.stderr
