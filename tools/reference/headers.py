"""Headers: identity headers, those of each dialect, and those that recipes clear."""

from authgw.config.schema import HeaderSettings
from authgw.core.endpoints import ENDPOINTS
from authgw.dialects.base import Dialect
from authgw.recipes.cleared import CLEARED_BY_MEANING
from authgw.web.openapi import describe, resolved
from tools.reference.markdown import code, joined, sentence, table, with_identifiers


def identity() -> str:
    """Return a table of the identity headers with the keys that name them."""
    rows = [
        (code(str(info.default)), f"[`headers.{key}`](configuration.md#headers{key})", _value(key))
        for key, info in HeaderSettings.model_fields.items()
    ]
    return table(("header", "key", "value"), rows)


def _value(key: str) -> str:
    description = HeaderSettings.model_fields[key].description or ""
    return sentence(description.removeprefix("Header with "))


def dialect(described: Dialect) -> str:
    """Return path and headers of the subrequests of a dialect."""
    rows = [(code(name), _meanings().get(name, "")) for name in described.target_headers]
    endpoint = next(each for each in ENDPOINTS if each.path == described.path)
    path = f"{endpoint.path}/..." if endpoint.prefix else endpoint.path
    return joined(f"Path of the check: {code(path)}", table(("header", "meaning"), rows))


def _meanings() -> dict[str, str]:
    """Return the meanings of headers, as the OpenAPI document has them."""
    document = describe(HeaderSettings().identity, frozenset())
    return {
        parameter["name"]: with_identifiers(parameter["description"])
        for methods in resolved(document["paths"], document).values()
        for operation in methods.values()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "header"
    }


def cleared() -> str:
    """Return a table of the headers that recipes clear, by their meaning."""
    rows = [(kind, ", ".join(map(code, names))) for kind, names in CLEARED_BY_MEANING.items()]
    return table(("meaning", "headers"), rows)
