"""Names that operators, programs and stores rely on stay, whatever is moved around in the code."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.unit.public_names import collect

LIST = Path(__file__).parents[1] / "data/public_names.yml"
REMEDY = """
The stored and public names of authgw are no longer those of tests/data/public_names.yml.

If a restructuring changed them by accident, give the old name back. If the change is meant, then
until 1.0 it needs an upgrade note in CHANGELOG.md, for what is gone or renamed, and an edit of the
list: `python -m tests.unit.test_public_names` writes it anew; look at its diff.
"""


def lines(node: Any, above: str = "") -> Iterator[str]:
    """Yield a line for each name, with all that it is in."""
    if isinstance(node, dict):
        for name, inner in node.items():
            yield from lines(inner, f"{above}{name}: ")
    elif isinstance(node, list):
        yield from (f"{above}{item}" for item in node)
    else:
        yield f"{above}{node}"


def difference(listed: Any, found: Any) -> str:
    """Return removed names after a minus and added names after a plus."""
    old, new = list(lines(listed)), list(lines(found))
    gone = [f"- {line}" for line in old if line not in new]
    return "\n".join([*gone, *(f"+ {line}" for line in new if line not in old)])


def test_stored_and_public_names_are_those_of_the_list() -> None:
    changed = difference(yaml.safe_load(LIST.read_text()), collect())
    assert not changed, f"{REMEDY}\n{changed}"


def test_a_name_that_is_gone_and_one_that_is_new_are_found() -> None:
    listed, found = {"a": {"x": 1, "y": ["p", "q"]}}, {"a": {"x": 1, "y": ["p", "r"]}}
    assert difference(listed, found) == "- a: y: q\n+ a: y: r"
    assert not difference(listed, listed)


def test_the_manual_lists_every_metric_with_its_labels() -> None:
    manual = (Path(__file__).parents[2] / "docs/reference/metrics.md").read_text()
    suffixes = {"counter": "_total", "info": "_info"}
    for name, described in collect()["metrics"].items():
        kind, *labels = described.split()
        cell = ", ".join(f"`{label[1:-1]}`" for label in labels)
        line = f"| `{name}{suffixes.get(kind, '')}` | {cell} |".replace("|  |", "| |")
        assert line in manual, line


def test_no_kind_of_name_is_empty() -> None:
    for kind, names in collect().items():
        assert names, kind


if __name__ == "__main__":
    LIST.write_text(
        "# Stored and public names: see tests/unit/test_public_names.py before changing a line.\n"
        + yaml.safe_dump(collect(), sort_keys=False, width=1000)
    )
