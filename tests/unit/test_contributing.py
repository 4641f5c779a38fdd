"""CONTRIBUTING.md lists every module of the package, and no other file as a module."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def listed(text: str) -> Iterator[str]:
    """The files of the list below *Where things are*."""
    package = None
    for line in text.partition("## Where things are\n")[2].splitlines():
        if heading := re.fullmatch(r"### (authgw\S*)", line):
            package = heading[1]
        elif entry := re.fullmatch(r"- `([a-z0-9_/]+)`: .+", line):
            yield f"{package}/{entry[1]}.py"


def test_every_module_has_its_line() -> None:
    lines = list(listed((ROOT / "CONTRIBUTING.md").read_text()))
    paths = [path.relative_to(ROOT) for path in (ROOT / "authgw").rglob("*.py")]
    modules = {str(path) for path in paths if path.name != "__init__.py"}
    assert len(lines) == len(set(lines))
    assert modules - set(lines) == set(), "give them a line in CONTRIBUTING.md"
    assert set(lines) - modules == set(), "they are gone: take them out of CONTRIBUTING.md"
