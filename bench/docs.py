"""Figures on disk: bench/results.json, and the tables between markers in documents."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import speed
from bench.outcome import NotMeasured, Table, markdown_of, rounded

_BENCH = Path(__file__).parent
RESULTS = _BENCH / "results.json"
README = _BENCH / "README.md"
SCALING = _BENCH.parent / "docs" / "explanation" / "scaling.md"
FRONT = _BENCH.parent / "README.md"
PICTURE = _BENCH.parent / "docs" / "speed.svg"


def results() -> dict[str, Any]:
    """Return the last saved results.

    Raises:
        NotMeasured: the file of results is missing.
    """
    try:
        read: dict[str, Any] = json.loads(RESULTS.read_text())
    except FileNotFoundError:
        raise NotMeasured(f"{RESULTS} is missing: run python -m bench all") from None
    return read


def save(measured: Mapping[str, Any]) -> None:
    """Save the measured figures."""
    RESULTS.write_text(json.dumps(rounded(measured), indent=1) + "\n")


def write_readme(measured: Mapping[str, Any], tables: Sequence[Table]) -> None:
    """Update the results in bench/README.md."""
    head = f"{measured['machine']}, {measured['date']}{', quick' if measured['quick'] else ''}."
    _rewrite(README, "results", "\n\n".join([head, *_sections(tables)]))


def write_front(measured: Mapping[str, Any]) -> None:
    """Update the README's section on speed and its picture, and the figures in the manual.

    Raises:
        NotMeasured: a figure of the section is missing.
    """
    front, text, image = (
        speed.sentence(measured),
        speed.words(measured),
        speed.picture(measured),
    )
    _rewrite(FRONT, "speed", front)
    _rewrite(SCALING, "speed", text)
    PICTURE.write_text(image)


def write_plan(tables: Sequence[Table]) -> None:
    """Update the tables in docs/explanation/scaling.md."""
    _rewrite(SCALING, "plan", "\n\n".join(_sections(tables)))


def between(text: str, name: str, new: str) -> str:
    """Replace the text between `<!-- name -->` and `<!-- end of name -->`.

    Raises:
        NotMeasured: the markers are missing or in the wrong order.
    """
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, opened, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise NotMeasured(f"a document lacks the markers {start} and {end}")
    return f"{before}{start}\n{new}\n{end}{after}"


def _rewrite(path: Path, name: str, new: str) -> None:
    path.write_text(between(path.read_text(), name, new))


def _sections(tables: Sequence[Table]) -> list[str]:
    return [f"**{table.title}**\n\n{markdown_of(table)}" for table in tables]
