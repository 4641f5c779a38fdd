"""Every test is run: by a stage of `make test`, or whole by `.ci/full`."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Run whole by .ci/full; `make sample` runs a few of their tests.
SLOW = {"tests/faults", "tests/limits", "tests/containers"}
# Each module there is marked `alone`.
BROWSER = "tests/browser"


def stages(makefile: str) -> set[str]:
    """Return the paths that the first two stages of `make test` run."""
    lists = re.findall(r"^(?:QUICK|SERVERS) := (.+)$", makefile, re.MULTILINE)
    return {path for paths in lists for path in paths.split()}


def unlisted(root: Path, listed: set[str]) -> set[str]:
    """Return the parts of tests/ that contain tests and are not listed."""
    parts = {path.relative_to(root).parts[:2] for path in root.glob("tests/**/test_*.py")}
    return {"/".join(part) for part in parts} - listed - SLOW


def test_each_part_of_the_tests_is_run() -> None:
    assert unlisted(ROOT, stages((ROOT / "Makefile").read_text())) == {BROWSER}


def test_each_browser_test_is_run_alone() -> None:
    modules = sorted((ROOT / BROWSER).glob("test_*.py"))
    assert modules
    for module in modules:
        assert "\npytestmark = pytest.mark.alone\n" in module.read_text(), module


def test_a_part_without_a_stage_is_found(tmp_path: Path) -> None:
    (tmp_path / "tests" / "other").mkdir(parents=True)
    (tmp_path / "tests" / "other" / "test_x.py").touch()
    assert unlisted(tmp_path, {"tests/unit"}) == {"tests/other"}
