"""Events and fields of the log, and the causes of refusals."""

from authgw.core.log_events import AUDIT_EVENTS, FIELDS, SERVICE_EVENTS, LogEvent
from authgw.core.reasons import CAUSES
from tools.reference.markdown import code, joined, sentence, table, with_identifiers


def audit_events() -> str:
    """Return an entry for each event of a request or command, with its fields."""
    return joined(*(_audit_event(name, event) for name, event in AUDIT_EVENTS.items()))


def _audit_event(name: str, event: LogEvent) -> str:
    facts = [
        f"- Level: {event.level}",
        f"- Message: begins with {code(event.message)}",
        f"- Fields: {', '.join(map(code, event.fields))}",
    ]
    return joined(f"### {code(name)}", with_identifiers(event.meaning), "\n".join(facts))


def service_events() -> str:
    """Return a table of the events that belong to no request."""
    rows = [
        (code(name), event.level, with_identifiers(event.meaning))
        for name, event in SERVICE_EVENTS.items()
    ]
    return table(("event", "level", "meaning"), rows)


def fields() -> str:
    """Return a table of the fields."""
    rows = [(code(name), with_identifiers(meaning)) for name, meaning in FIELDS.items()]
    return table(("field", "meaning"), rows)


def causes() -> str:
    """Return a table of the causes."""
    rows = [(code(name), with_identifiers(sentence(text))) for name, text in CAUSES.items()]
    return table(("cause", "meaning"), rows)
