"""Results of a benchmark and their output: tables as text and Markdown, figures as JSON."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from bench.machine import load_warning

Cell = str | float | bool | None


class NotMeasured(click.ClickException):
    """Raised if a run has no valid result; the message is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; the first column names the row, `plotted` is the column of the plot."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    plotted: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The `figures` by key (None: not available), with tables and notes that explain them."""

    figures: Mapping[str, Any]
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark of `python -m bench NAME`; `measure` receives True for a quick run."""

    name: str
    summary: str
    measure: Callable[[bool], Outcome]

    def command(self) -> click.Command:
        """Return the subcommand that measures and prints JSON as its last line."""
        quick = click.Option(["--quick"], is_flag=True, help="Short rounds, 60 s in all.")
        return click.Command(self.name, callback=self.run, params=[quick], help=self.summary)

    def run(self, quick: bool) -> None:
        """Measure and print the results."""
        click.echo(load_warning(), nl=False)
        began = time.monotonic()
        outcome = self.measure(quick)
        show(outcome)
        run = {"benchmark": self.name, "quick": quick, "took_s": round(time.monotonic() - began)}
        click.echo(json.dumps({**rounded(outcome.figures), **run}))


def show(outcome: Outcome) -> None:
    """Print the tables and notes."""
    for table in outcome.tables:
        click.echo(f"{text_of(table)}\n")
    for note in outcome.notes:
        click.echo(note)


def text_of(table: Table) -> str:
    """Format the table in columns of plain text."""
    rows = [table.columns, *(tuple(cell_text(cell) for cell in row) for row in table.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.columns))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]
    return "\n".join([table.title, *lines])


def markdown_of(table: Table) -> str:
    """Format the table in GitHub's Markdown."""
    rule = ["---", *["---:"] * (len(table.columns) - 1)]
    rows = [table.columns, rule, *(tuple(cell_text(cell) for cell in row) for row in table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cell_text(cell: Cell) -> str:
    """Format a cell: about three significant digits, and words for values without a number."""
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
    """Return the JSON value with floats rounded to four significant digits."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value
