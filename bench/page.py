"""A self-contained page about a run: tables, and plots as SVG, without scripts or other files."""

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


def render(measured: Mapping[str, Any], bars: Table, outcomes: Mapping[str, Outcome]) -> str:
    """Render the page as HTML."""
    environment = Environment(
        loader=PackageLoader("bench"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    template = environment.get_template("report.html")
    return template.render(
        measured=measured, bars=bars, outcomes=outcomes, text=cell_text, lines_of=lines_of
    )


def lines_of(table: Table) -> list[PlotBar]:
    """Return the bars of a table's plotted column, an empty list without such a column."""
    if table.plotted is None:
        return []
    column = table.plotted
    cells = [(str(row[0]), row[column]) for row in table.rows]
    numbers = [(label, float(value)) for label, value in cells if isinstance(value, int | float)]
    highest = max((value for _, value in numbers), default=0) or 1
    return [PlotBar(label, cell_text(value), value / highest * _WIDTH) for label, value in numbers]
