"""The OpenAPI 3.1 document of this gateway, and its outline for a page.

`openapi.yml` is completed by values that are defined elsewhere: the version, the codes of refusals,
the names of the identity headers and of the session cookie.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import yaml
from yaml.cyaml import CSafeLoader

from authgw.core.model import IdentityHeaders
from authgw.core.reasons import REASONS

_RETRYABLE = frozenset({429, 503})  # with Retry-After
_TEXT = {"schema": {"type": "string"}}


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the outline: a name and its description."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation in outline.

    `request` is its method and path; each body is a content type and its fields.
    """

    id: str
    request: str
    summary: str
    description: str
    credentials: str
    parameters: tuple[Item, ...]
    bodies: tuple[tuple[str, tuple[Item, ...]], ...]
    responses: tuple[Item, ...]


@cache
def describe(identity: IdentityHeaders, cookies: frozenset[str]) -> dict[str, Any]:
    """Return the OpenAPI document of a gateway with these identity headers and session cookies.

    The object is cached: callers must not change it.
    """
    text = files("authgw.web").joinpath("openapi.yml").read_text(encoding="utf-8")
    # libyaml: the first request for the document must not delay others.
    document: dict[str, Any] = yaml.load(text, CSafeLoader)
    document["info"]["version"] = version("authgw")
    parts = document["components"]
    parts["securitySchemes"]["session"]["name"] = min(cookies, default="__Host-authgw")
    parts["responses"]["allowed"]["headers"] |= {
        name: _ref("headers", "identity") for name in identity.names
    }
    for status in sorted({reason.status for reason in REASONS.values()}):
        parts["schemas"][f"Problem{status}"] = _problem(status)
        refusal = _refusal(status)
        parts["responses"] |= {
            f"refused-{status}": refusal,
            f"refused-to-a-proxy-{status}": _to_a_proxy(refusal),
            f"refused-to-a-browser-{status}": _to_a_browser(refusal),
        }
    for path, methods in document["paths"].items():
        for operation in methods.values():
            _add_refusals(path, operation)
    return document


def outline(document: dict[str, Any]) -> tuple[Operation, ...]:
    """Return every operation of this document, in its order, with all references resolved."""
    return tuple(
        _outlined(f"{method.upper()} {path}", resolved(operation, document))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )


def codes() -> tuple[Item, ...]:
    """Return every code of a refusal with its status, meaning and remedy."""
    return tuple(
        Item(code, f"{reason.status}: {reason.meaning}. What to do: {reason.remedy}.")
        for code, reason in REASONS.items()
    )


def _ref(kind: str, name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _codes_of(status: int) -> list[str]:
    return [code for code, reason in REASONS.items() if reason.status == status]


def _problem(status: int) -> dict[str, Any]:
    properties = {"status": {"const": status}, "code": {"enum": _codes_of(status)}}
    return {"allOf": [_ref("schemas", "Problem"), {"properties": properties}]}


def _refusal(status: int) -> dict[str, Any]:
    headers = {
        "Cache-Control": _ref("headers", "no-store"),
        "X-Authgw-Reason": {"required": True, "schema": {"enum": _codes_of(status)}},
        "X-Request-ID": _ref("headers", "request-id"),
    }
    if status == 401:
        headers["WWW-Authenticate"] = _ref("headers", "challenge")
    if status in _RETRYABLE:
        headers["Retry-After"] = _ref("headers", "retry-after")
    if status == 405:
        headers["Allow"] = {"required": True, "schema": {"type": "string"}}
    problem = {"schema": _ref("schemas", f"Problem{status}")}
    return {
        "description": f"Refused: {', '.join(_codes_of(status))}.",
        "headers": headers,
        "content": {"application/problem+json": problem},
    }


def _to_a_proxy(refusal: dict[str, Any]) -> dict[str, Any]:
    """Add the bodies that proxies pass on; NGINX receives none, a direct check a problem."""
    return {**refusal, "content": refusal["content"] | {"text/plain": _TEXT, "text/html": _TEXT}}


def _to_a_browser(refusal: dict[str, Any]) -> dict[str, Any]:
    """Replace the headers for programs by an HTML body: the form is shown again, with a message."""
    headers = {"Cache-Control": refusal["headers"]["Cache-Control"]}
    return {**refusal, "headers": headers, "content": refusal["content"] | {"text/html": _TEXT}}


def _add_refusals(path: str, operation: dict[str, Any]) -> None:
    kind = "refused"
    if "decisions" in operation["tags"]:
        kind = "refused-to-a-proxy"
    elif path.startswith(("/login", "/logout")):
        kind = "refused-to-a-browser"
    for status in (*operation.pop("x-refused", ()), 500):
        operation["responses"][str(status)] = _ref("responses", f"{kind}-{status}")


def resolved(node: Any, document: dict[str, Any]) -> Any:
    """Return a part of the document, with the referenced parts in place of their references."""
    if isinstance(node, list):
        return [resolved(element, document) for element in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        _, kind, name = node["$ref"].rsplit("/", 2)
        return resolved(document["components"][kind][name], document)
    return {key: resolved(value, document) for key, value in node.items()}


def _outlined(request: str, operation: dict[str, Any]) -> Operation:
    return Operation(
        id=operation["operationId"],
        request=request,
        summary=operation["summary"],
        description=operation.get("description", ""),
        credentials=" or ".join("".join(each) or "none" for each in _alternatives(operation)),
        parameters=tuple(_parameter(each) for each in operation.get("parameters", ())),
        bodies=tuple(_bodies(operation.get("requestBody", {}).get("content", {}))),
        responses=tuple(_response(*entry) for entry in operation["responses"].items()),
    )


def _alternatives(operation: dict[str, Any]) -> list[dict[str, Any]]:
    return operation["security"] or [{}]


def _parameter(entry: dict[str, Any]) -> Item:
    parts = (f"in the {entry['in']}", "required" if entry.get("required") else "optional")
    text = _joined(", ".join(parts), _kind(entry), entry.get("description", ""))
    return Item(entry["name"], text)


def _bodies(content: dict[str, Any]) -> Iterator[tuple[str, tuple[Item, ...]]]:
    for media, body in content.items():
        schema = body["schema"]
        for alternative in schema.get("oneOf", [schema]):
            yield media, tuple(_fields(alternative))


def _fields(schema: dict[str, Any]) -> Iterator[Item]:
    for name, field in schema["properties"].items():
        presence = "required" if name in schema.get("required", ()) else "optional"
        yield Item(name, _joined(presence, _kind({"schema": field}), field.get("description", "")))


def _kind(entry: dict[str, Any]) -> str:
    schema = entry["schema"]
    if "enum" in schema:
        return " | ".join(schema["enum"])
    limits = f" from {schema['minimum']} to {schema['maximum']}" if "maximum" in schema else ""
    return f"{schema['type']}{limits}"


def _response(status: str, entry: dict[str, Any]) -> Item:
    headers, content = ", ".join(entry.get("headers", ())), ", ".join(entry.get("content", ()))
    return Item(status, _joined(entry["description"].rstrip("."), content, headers))


def _joined(*parts: str) -> str:
    return ". ".join(part.rstrip(".") for part in parts if part) + "."
