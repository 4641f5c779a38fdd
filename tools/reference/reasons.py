"""Reason codes."""

from itertools import groupby

from authgw.core.reasons import REASONS, Reason
from tools.reference.markdown import code, joined, sentence, table, with_identifiers


def codes() -> str:
    """Return a section for each status, with a table of its codes."""
    by_status = sorted(REASONS.items(), key=lambda entry: entry[1].status)
    groups = groupby(by_status, key=lambda entry: entry[1].status)
    return joined(*(_section(status, dict(reasons)) for status, reasons in groups))


def _section(status: int, reasons: dict[str, Reason]) -> str:
    rows = [
        (
            code(name),
            with_identifiers(sentence(reason.meaning)),
            with_identifiers(sentence(reason.remedy)),
        )
        for name, reason in reasons.items()
    ]
    title = f"## Status {status}"
    return joined(title, table(("code", "meaning", "what to do"), rows))
