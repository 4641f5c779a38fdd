"""The list of threats (threats.yml) as values, and as the page docs/explanation/threats.md."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "explanation" / "threats.md"
_HEAD = """\
# Threats

What somebody could try against a gateway, what must come of it, and the tests that show it. The
classes are those of STRIDE. `make threats` runs the tests and prints this table with what they
said; `tests/threats/threats.yml` is the list, and this page is made of it.

| id | class | attack | expected | shown by |
|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Threat:
    """A threat of the list; `because` is the reason why it cannot occur if it has no tests."""

    id: str
    kind: str
    attack: str
    expected: str
    tests: tuple[str, ...]
    because: str = ""


def read_threats() -> list[Threat]:
    """The list, in its order."""
    entries = yaml.safe_load((Path(__file__).parent / "threats.yml").read_text())
    return [
        Threat(
            one["id"],
            one["class"],
            one["attack"],
            one["expected"],
            tuple(one.get("tests", ())),
            one.get("because", ""),
        )
        for one in entries
    ]


def page(threats: Sequence[Threat]) -> str:
    """docs/explanation/threats.md of these."""
    rows = [
        f"| {one.id} | {one.kind} | {one.attack} | {one.expected} "
        f"| {', '.join(f'`{test}`' for test in one.tests) or one.because} |\n"
        for one in threats
    ]
    return _HEAD + "".join(rows)
