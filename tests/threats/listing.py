"""The list of threats (threats.yml) as values, and as the page docs/explanation/threats.md."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "explanation" / "threats.md"
_HEAD = """\
# Threats

Attacks on a gateway, the expected result of each, and the tests that verify it. The classes are
those of STRIDE. `make threats` runs the tests and prints this table with their results; this page
is generated from `tests/threats/threats.yml`. [Security model](security-model.md) describes the
trusted parties, and the risks that authgw does not cover.

| id | class | attack | expected | verified by |
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
    """Return the threats in the order of threats.yml."""
    entries = yaml.safe_load((Path(__file__).parent / "threats.yml").read_text())
    return [
        Threat(
            entry["id"],
            entry["class"],
            entry["attack"],
            entry["expected"],
            tuple(entry.get("tests", ())),
            entry.get("because", ""),
        )
        for entry in entries
    ]


def page(threats: Sequence[Threat]) -> str:
    """Render docs/explanation/threats.md."""
    rows = [
        f"| {threat.id} | {threat.kind} | {threat.attack} | {threat.expected} "
        f"| {', '.join(f'`{test}`' for test in threat.tests) or threat.because} |\n"
        for threat in threats
    ]
    return _HEAD + "".join(rows)
