"""One self-contained page about a run: tables, and plots drawn as SVG; no script, no other file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench.outcome import Outcome, Table, cell_text

_WIDTH = 420  # of the longest bar, in CSS pixels


@dataclass(frozen=True, slots=True)
class PlotBar:
    """A horizontal bar of a plot."""

    label: str
    value: str
    width: float


def render(measured: Mapping[str, Any], last: Table, outcomes: Mapping[str, Outcome]) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=PackageLoader("bench"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    template = environment.get_template("report.html")
    return template.render(
        measured=measured, bars=last, outcomes=outcomes, text=cell_text, lines_of=lines_of
    )


def lines_of(table: Table) -> list[PlotBar]:
    """The bars of a table's plotted column; none if it has no such column."""
    if table.plotted is None:
        return []
    column = table.plotted
    found = [(str(row[0]), row[column]) for row in table.rows]
    numbers = [(label, float(value)) for label, value in found if isinstance(value, int | float)]
    most = max((value for _, value in numbers), default=0) or 1
    return [PlotBar(label, cell_text(value), value / most * _WIDTH) for label, value in numbers]
