"""Plot of figures for the README: horizontal bars as SVG, for light and dark pages."""

from collections.abc import Mapping
from html import escape

from bench.outcome import Table, cell_text
from bench.page import lines_of

_LABEL, _BAR, _ROW = 190, 420, 28  # pixels
_STYLE = """
text { font: 13px sans-serif; fill: #1f2328 }
.title { font-weight: bold }
.bar { fill: #8c959f }
.ours { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .bar { fill: #7d8590 }
  .ours { fill: #4493f8 }
}
"""


def svg(title: str, values: Mapping[str, float], ours: frozenset[str]) -> str:
    """Draw a bar for each value; the bars of `ours` are highlighted."""
    lines = lines_of(Table(title, ("", ""), tuple(values.items()), plotted=1))
    height = _ROW * (len(lines) + 1) + 8
    width = _LABEL + _BAR + 70
    elements = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="0" y="18">{escape(title)}</text>',
    ]
    for number, line in enumerate(lines, 1):
        top = _ROW * number + 4
        kind = "bar ours" if line.label in ours else "bar"
        elements += [
            f'<text x="0" y="{top + 15}">{escape(line.label)}</text>',
            f'<rect class="{kind}" x="{_LABEL}" y="{top}" width="{line.width:.1f}" height="20"/>',
            f'<text x="{_LABEL + line.width + 6:.1f}" y="{top + 15}">{line.value}</text>',
        ]
    return "\n".join([*elements, "</svg>", ""])


def text_of(value: float) -> str:
    """Format a figure for a sentence."""
    return cell_text(float(f"{value:.2g}"))
