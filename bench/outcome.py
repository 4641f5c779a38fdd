"""The result of a benchmark: tables for people, JSON for programs."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from bench.machine import why_doubtful

Cell = str | float | bool | None


class NotMeasured(click.ClickException):
    """Raised when a run proves nothing; the message is a sentence for its user."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; the first column names the row. `plotted` is a column to draw."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    plotted: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The `figures` by their keys (None: not available), and what explains them."""

    figures: Mapping[str, Any]
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark, run by `python -m bench NAME`; `measure` takes whether the run is quick."""

    name: str
    summary: str
    measure: Callable[[bool], Outcome]

    def command(self) -> click.Command:
        """The subcommand that measures, and prints the JSON on the last line."""
        quick = click.Option(["--quick"], is_flag=True, help="Short rounds, 60 s in all.")
        return click.Command(self.name, callback=self.run, params=[quick], help=self.summary)

    def run(self, quick: bool) -> None:
        """Measure and print."""
        click.echo(why_doubtful(), nl=False)
        began = time.monotonic()
        outcome = self.measure(quick)
        show(outcome)
        said = {"benchmark": self.name, "quick": quick, "took_s": round(time.monotonic() - began)}
        click.echo(json.dumps({**rounded(outcome.figures), **said}))


def show(outcome: Outcome) -> None:
    """Print the tables and notes."""
    for table in outcome.tables:
        click.echo(f"{text_of(table)}\n")
    for note in outcome.notes:
        click.echo(note)


def text_of(table: Table) -> str:
    """The table in columns of plain text."""
    rows = [table.columns, *(tuple(cell_text(cell) for cell in row) for row in table.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.columns))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]
    return "\n".join([table.title, *lines])


def markdown_of(table: Table) -> str:
    """The table in GitHub's Markdown."""
    rule = ["---", *["---:"] * (len(table.columns) - 1)]
    rows = [table.columns, rule, *(tuple(cell_text(cell) for cell in row) for row in table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cell_text(cell: Cell) -> str:
    """A cell as it is read: three significant digits or so, and words for other values."""
    if cell is None:
        return "not available"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, str):
        return cell
    if float(cell).is_integer() or abs(cell) >= 1000:
        return f"{cell:,.0f}"
    return f"{cell:.3f}" if abs(cell) < 1 else f"{cell:.2f}" if abs(cell) < 100 else f"{cell:.1f}"


def rounded(value: Any) -> Any:
    """The same JSON value with floats to four significant digits."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return value
