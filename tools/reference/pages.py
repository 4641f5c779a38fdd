"""The generated parts of each page, and their places between markers."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from authgw.dialects.registry import DIALECTS
from tools.reference import (
    cli,
    configuration,
    environment,
    headers,
    http_api,
    log_events,
    metrics,
    reasons,
)

DIRECTORY = Path(__file__).parents[2] / "docs" / "reference"
_PARTS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "configuration.md": {"keys": configuration.keys},
    "environment.md": {"variables": environment.variables, "ignored": environment.ignored},
    "cli.md": {"commands": cli.commands},
    "http-api.md": {"paths": http_api.paths, "operations": http_api.operations},
    "headers.md": {
        "identity": headers.identity,
        **{dialect.name: partial(headers.dialect, dialect) for dialect in DIALECTS},
        "cleared": headers.cleared,
    },
    "reasons.md": {"reasons": reasons.codes},
    "log-events.md": {
        "audit events": log_events.audit_events,
        "service events": log_events.service_events,
        "fields": log_events.fields,
        "causes": log_events.causes,
    },
    "metrics.md": {"metrics": metrics.metrics},
}


class MarkerError(ValueError):
    """Raised for a page without a pair of markers for each of its generated parts."""


def pages() -> list[Path]:
    """Return the pages that have generated parts."""
    return [DIRECTORY / name for name in _PARTS]


def fresh(page: Path) -> str:
    """Return the text of this page with its generated parts made anew.

    Raises:
        MarkerError: the markers of a part are missing or duplicated.
    """
    text = page.read_text(encoding="utf-8")
    for name, generate in _PARTS[page.name].items():
        text = replaced(text, name, generate())
    return text


def replaced(text: str, name: str, part: str) -> str:
    """Return the text of a page with this part between its markers.

    Raises:
        MarkerError: the markers are missing or duplicated.
    """
    start, end = f"<!-- generated: {name} -->\n", f"<!-- end of {name} -->"
    found = re.findall(f"{re.escape(start)}.*?{re.escape(end)}", text, re.DOTALL)
    if len(found) != 1:
        raise MarkerError(f"the page needs {start.strip()} and {end}, once each")
    return text.replace(found[0], f"{start}\n{part.strip()}\n\n{end}")
