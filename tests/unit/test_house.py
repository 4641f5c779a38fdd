"""Habits that hold for all modules: length, imports, class names, folders of the unit tests."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("authgw", "tests", "bench", "tools")
MAX_LINES = 400


def modules() -> list[Path]:
    """Return all modules of this repository, relative to its root."""
    return [path.relative_to(ROOT) for name in OURS for path in (ROOT / name).rglob("*.py")]


def is_too_long(source: str) -> bool:
    return len(source.splitlines()) > MAX_LINES


def imported(source: str) -> Iterator[str]:
    """Return full names of imported modules, and of imported members as parts of them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (
                f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names
            )


def imported_tests(source: str) -> list[str]:
    """Return the imports of a conftest or of a test module of this repository."""
    return [
        name
        for name in imported(source)
        if name.partition(".")[0] in (*OURS, "", "conftest")
        and any(part == "conftest" or part.startswith("test_") for part in name.split("."))
    ]


def packages(root: Path) -> set[Path]:
    """Return the folders with modules below `root`, relative to it."""
    return {path.parent.relative_to(root) for path in root.rglob("*.py")}


def duplicated_classes(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the class names that several of these modules define, with the modules of each."""
    places = defaultdict(list)
    for path, source in sources.items():
        classes = {
            node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)
        }
        for name in classes:
            places[name].append(path)
    return {name: paths for name, paths in places.items() if len(paths) > 1}


def test_modules_are_short() -> None:
    assert modules()
    assert [str(path) for path in modules() if is_too_long((ROOT / path).read_text())] == []


def test_a_long_module_is_found() -> None:
    assert not is_too_long("\n" * MAX_LINES)
    assert is_too_long("\n" * (MAX_LINES + 1))


def test_no_test_module_is_a_library() -> None:
    found = {str(path): imported_tests((ROOT / path).read_text()) for path in modules()}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import tests.conftest",
        "from tests.web.conftest import surface",
        "from tests.web import conftest as web",
        "from tests.unit.core.test_rules import a_rule",
        "from tests.unit.core import test_rules",
        "import bench.tests.test_fleet as fleet",
        "from .conftest import site",
        "from . import test_rules",
        "import conftest",
        "def late():\n    from tests.e2e.conftest import site",
    ],
)
def test_an_import_of_a_test_module_is_found(line: str) -> None:
    assert imported_tests(line)


def test_test_modules_of_libraries_may_be_imported() -> None:
    assert not imported_tests(
        "from aiohttp.test_utils import TestClient\nimport tests.support.nginx"
    )


def test_a_class_name_has_one_meaning() -> None:
    sources = {str(path): (ROOT / path).read_text() for path in modules()}
    assert duplicated_classes(sources) == {}


def test_a_duplicated_class_name_is_found() -> None:
    nested = "def function():\n    class User:\n        pass"
    sources = {"a.py": "class User: ...\nclass Rule: ...", "b.py": nested, "c.py": "User = int"}
    assert duplicated_classes(sources) == {"User": ["a.py", "b.py"]}


def test_unit_tests_mirror_the_packages() -> None:
    assert packages(ROOT / "tests/unit") - packages(ROOT / "authgw") == set()
