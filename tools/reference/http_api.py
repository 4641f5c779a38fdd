"""Paths of the gateway: callers, credentials, requests and responses of each."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from authgw.config.schema import HeaderSettings
from authgw.core.endpoints import ENDPOINTS, Audience
from authgw.web.openapi import describe, resolved
from tools.reference import curl
from tools.reference.markdown import block, code, joined, sentence, table, with_identifiers

Part = Mapping[str, Any]
_CALLERS = {
    Audience.PUBLIC: "everyone, through the proxy",
    Audience.BACKEND: "trusted backends and apps, at the gateway's own port",
    Audience.OPERATOR: "operators and monitoring, at the gateway's own port",
    Audience.PROXY: "the proxy, about the request of a client",
}
_PUBLIC_ADDRESS, _OWN_ADDRESS = "https://auth.example.com", "http://127.0.0.1:8080"
_CREDENTIALS = {
    "client": "id and secret of a trusted backend (HTTP Basic)",
    "bearer": "access token (Bearer)",
    "appPassword": "app password (HTTP Basic)",
    "session": "session cookie",
    "none": "none",
}


def paths() -> str:
    """Return a table of all paths with their methods and callers."""
    rows = [
        (
            code(f"{endpoint.path}/..." if endpoint.prefix else endpoint.path),
            "any" if endpoint.methods == ("*",) else ", ".join(endpoint.methods),
            _callers(endpoint.audience),
        )
        for endpoint in ENDPOINTS
    ]
    return table(("path", "methods", "callers"), rows)


def operations() -> str:
    """Return a section for each tag of the OpenAPI document, with its operations."""
    document = describe(HeaderSettings().identity, frozenset())
    sections = resolved(document["paths"], document)
    return joined(*(part for tag in document["tags"] for part in _tag(tag, sections)))


def _tag(tag: Part, paths: Part) -> Iterator[str]:
    yield f"## {tag['name'].capitalize()}"
    yield sentence(tag["description"])
    for path, methods in paths.items():
        for method, operation in methods.items():
            if tag["name"] in operation["tags"]:
                yield _operation(method, path, operation)


def _operation(method: str, path: str, operation: Part) -> str:
    return joined(
        f"### {code(f'{method.upper()} {path}')}",
        sentence(operation["summary"]),
        operation.get("description", ""),
        "\n".join(_facts(path, operation)),
        _parameters(operation.get("parameters", ())),
        *_bodies(operation.get("requestBody", {}).get("content", {})),
        _responses(operation["responses"]),
        *_response_fields(operation["responses"]),
        joined("Example:", block("sh", curl.command(method, _address(path), operation))),
    )


def _facts(path: str, operation: Part) -> Iterator[str]:
    alternatives = ["".join(each) or "none" for each in operation["security"] or [{}]]
    yield f"- Callers: {_callers(_audience(path))}"
    yield f"- Credentials: {' or '.join(map(_CREDENTIALS.__getitem__, alternatives))}"
    refused = [status for status, each in operation["responses"].items() if _is_refusal(each)]
    yield f"- Refusals: {', '.join(sorted(refused))}, with a [code](reasons.md)"


def _is_refusal(response: Part) -> bool:
    return "application/problem+json" in response.get("content", {})


def _parameters(parameters: Iterable[Part]) -> str:
    rows = [
        (code(each["name"]), each["in"], _yes_or_no(each.get("required")), _text(each))
        for each in parameters
    ]
    return table(("parameter", "in", "required", "meaning"), rows) if rows else ""


def _bodies(content: Part) -> Iterator[str]:
    for media, body in content.items():
        alternatives = body["schema"].get("oneOf", [body["schema"]])
        for number, schema in enumerate(alternatives):
            title = f"{'Or a' if number else 'A'} body of {code(media)}:"
            yield joined(title, _fields(schema, "required"))


def _responses(responses: Part) -> str:
    rows = [
        (status, ", ".join(map(code, response.get("content", ()))), _text(response))
        for status, response in responses.items()
        if not _is_refusal(response)
    ]
    return table(("status", "body", "meaning"), rows) if rows else ""


def _response_fields(responses: Part) -> Iterator[str]:
    for status, response in responses.items():
        for media, body in response.get("content", {}).items():
            if "properties" in body["schema"] and not _is_refusal(response):
                yield joined(
                    f"The body of {status}, {code(media)}:", _fields(body["schema"], "always")
                )


def _fields(schema: Part, presence: str) -> str:
    """Return a table of the fields; `presence` is the title of the column for required fields."""
    return table(("field", "type", presence, "meaning"), _field_rows(schema))


def _field_rows(schema: Part, parent: str = "") -> Iterator[tuple[str, str, str, str]]:
    for name, field in schema["properties"].items():
        if not isinstance(field, dict):
            continue  # a field that must be absent
        is_required = name in schema.get("required", ())
        yield code(f"{parent}{name}"), _type(field), _yes_or_no(is_required), _text(field)
        items = field.get("items", {})
        if "properties" in items:
            yield from _field_rows(items, f"{parent}{name}[].")


def _type(schema: Part) -> str:
    if "const" in schema:
        return code(json.dumps(schema["const"]))
    if "enum" in schema:
        return " or ".join(map(code, schema["enum"]))
    return str(schema["type"])


def _yes_or_no(value: bool | None) -> str:
    return "yes" if value else "no"


def _text(part: Part) -> str:
    return with_identifiers(sentence(part["description"])) if "description" in part else ""


def _audience(path: str) -> Audience:
    return next(endpoint.audience for endpoint in ENDPOINTS if endpoint.path == path)


def _callers(audience: Audience) -> str:
    return "; ".join(_CALLERS[each] for each in audience)


def _address(path: str) -> str:
    is_public = Audience.PUBLIC in _audience(path) and Audience.PROXY not in _audience(path)
    return f"{_PUBLIC_ADDRESS if is_public else _OWN_ADDRESS}{path.replace('{name}', 'company')}"
