"""`make threats`: every threat, its tests and their results, as a table.

Results of `make test` and `make faults` count while nothing has changed since; all other tests
are run here. `--write` makes docs/explanation/threats.md anew; `--without FOLDER` leaves the tests
of a folder to another run.
"""

import subprocess
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

from tests.threats.listing import DOCUMENT, ROOT, Threat, page, read_threats

_RESULTS = ROOT / ".results"
_BUDGET, _ALONE = 150, 600  # seconds for the tests that those two leave, and for all tests
_SOURCES = ("authgw", "nginx", "examples", "tests")


def main(words: Sequence[str]) -> int:
    """The process's status: 0 if a passed test or a sentence answers every threat."""
    threats = read_threats()
    if "--write" in words:
        DOCUMENT.write_text(page(threats))
        return 0
    named = {test for threat in threats for test in threat.tests}
    elsewhere = {test for test in named if test.startswith(_left_out(words))}
    threats = [_without(one, elsewhere) for one in threats]
    named -= elsewhere
    results = known(named)
    left = sorted(named - results.keys())
    budget = _BUDGET if len(left) < len(results) else _ALONE
    failed = run(left, budget) if left else 0
    results = known(named)
    open_ = [threat.id for threat in threats if not is_answered(threat, results)]
    print(table(threats, results))
    left_out = f", {len(elsewhere)} left to another run" if elsewhere else ""
    said = " ".join(open_) or "none"
    print(f"{len(threats)} threats, {len(named)} tests{left_out}; not answered: {said}")
    return 1 if failed or open_ else 0


def _left_out(words: Sequence[str]) -> tuple[str, ...]:
    """Return the folders that `--without` names."""
    return tuple(f"{folder}/" for word, folder in pairwise(words) if word == "--without")


def _without(threat: Threat, elsewhere: Collection[str]) -> Threat:
    """Return a threat with those of its tests that run here."""
    tests = tuple(test for test in threat.tests if test not in elsewhere)
    because = threat.because if tests == threat.tests else "left to another run"
    return replace(threat, tests=tests, because=because)


def run(tests: Sequence[str], budget: int) -> int:
    """Run these tests within `budget` seconds and keep their results; return pytest's status."""
    words = ["--session-timeout", str(budget), "--junitxml", str(_RESULTS / "threats.xml")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--durations=5", *words, *tests], cwd=ROOT, check=False
    )
    return done.returncode


def known(named: Iterable[str]) -> dict[str, str]:
    """Return the results of these tests since the last change; a test with all its cases."""
    changed = max(
        path.stat().st_mtime
        for folder in _SOURCES
        for path in (ROOT / folder).rglob("*")
        if path.suffix not in (".pyc", "") and "node_modules" not in path.parts
    )
    fresh = [file for file in _RESULTS.glob("*.xml") if file.stat().st_mtime > changed]
    results: dict[str, str] = {}
    for file in sorted(fresh, key=lambda file: file.stat().st_mtime):
        results |= results_of(file.read_text())
    return {test: results[test] for test in named if test in results}


def results_of(report: str) -> dict[str, str]:
    """Test to `passed` or else, of a report in JUnit's format; the worst of its cases."""
    found: dict[str, str] = {}
    for case in ElementTree.fromstring(report).iter("testcase"):  # noqa: S314  of our own pytest
        file = case.get("classname", "").replace(".", "/")
        test = f"{file}.py::{case.get('name', '').partition('[')[0]}"
        bad = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        if bad or test not in found:
            found[test] = bad[0] if bad else "passed"
    return found


def is_answered(threat: Threat, results: dict[str, str]) -> bool:
    """Return True if all its tests passed, or a sentence explains why it cannot occur."""
    if not threat.tests:
        return bool(threat.because)
    return all(results.get(test) == "passed" for test in threat.tests)


def table(threats: Sequence[Threat], results: dict[str, str]) -> str:
    """Return a line for each test of each threat."""
    lines = []
    for threat in threats:
        rows = [(test, results.get(test, "not run")) for test in threat.tests]
        for what, said in rows or [(threat.because or "nothing", "")]:
            lines.append(f"{threat.id} | {threat.kind:11} | {what} | {said}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
