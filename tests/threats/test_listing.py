"""The list of threats is whole, its tests exist, its page is up to date, its table can fail."""

from tests.support.named_tests import exists
from tests.threats.__main__ import is_answered, results_of, table
from tests.threats.listing import DOCUMENT, Threat, page, read_threats

REPORT = """<testsuites><testsuite>
<testcase classname="tests.unit.test_a" name="test_x[1]"/>
<testcase classname="tests.unit.test_a" name="test_x[2]"><failure message="no"/></testcase>
<testcase classname="tests.unit.test_a" name="test_x[3]"/>
<testcase classname="tests.unit.test_a" name="test_y"/>
<testcase classname="tests.unit.test_a" name="test_z"><skipped/></testcase>
</testsuite></testsuites>"""


def a_threat(*tests: str, because: str = "") -> Threat:
    return Threat("T00", "Denial", "attack", "expected", tests, because)


def test_every_threat_has_a_test_that_exists_or_a_reason() -> None:
    threats = read_threats()
    numbers = (*range(1, 60), 60, 61, 62, 63, 64, 65, 66, 67, 81, 82, 83)
    assert [one.id for one in threats] == [f"T{number:02}" for number in numbers]
    kinds = {"Spoofing", "Tampering", "Repudiation", "Information", "Denial", "Elevation"}
    assert {one.kind for one in threats} == kinds
    assert not [one.id for one in threats if not one.tests and not one.because]
    missing = [
        test for one in threats for test in one.tests if not exists(*test.split("::", maxsplit=1))
    ]
    assert not missing


def test_the_page_is_made_of_the_list() -> None:
    assert DOCUMENT.read_text() == page(read_threats()), "run: python -m tests.threats --write"


def test_one_failed_case_fails_its_test() -> None:
    results = results_of(REPORT)
    assert results == {
        "tests/unit/test_a.py::test_x": "failure",
        "tests/unit/test_a.py::test_y": "passed",
        "tests/unit/test_a.py::test_z": "skipped",
    }


def test_a_threat_is_answered_by_passed_tests_or_a_reason_only() -> None:
    results = results_of(REPORT)
    assert is_answered(a_threat("tests/unit/test_a.py::test_y"), results)
    assert is_answered(a_threat(because="there is no such thing"), results)
    for name in ("test_x", "test_z", "test_never_run"):
        assert not is_answered(a_threat(f"tests/unit/test_a.py::{name}"), results)
    assert not is_answered(a_threat(), results)


def test_the_table_says_what_was_not_run() -> None:
    assert table([a_threat("tests/a.py::test_b")], {}).endswith("tests/a.py::test_b | not run")
