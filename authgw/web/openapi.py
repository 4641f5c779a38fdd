"""What may be asked of this gateway, as one OpenAPI 3.1 document and in outline for a page.

`openapi.yml` says it, but for what is known elsewhere: the version, the codes of refusals, the
names of the identity headers and of the session cookie.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import yaml

from authgw.core.model import IdentityHeaders
from authgw.core.reasons import REASONS

_ASK_AGAIN = frozenset({429, 503})  # which say when
_TEXT = {"schema": {"type": "string"}}


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the outline: a name and what there is to say about it."""

    name: str
    said: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation in outline; each body is its content type and its fields."""

    id: str
    asked: str
    summary: str
    description: str
    credentials: str
    parameters: tuple[Item, ...]
    bodies: tuple[tuple[str, tuple[Item, ...]], ...]
    answers: tuple[Item, ...]


@cache
def describe(identity: IdentityHeaders, cookies: frozenset[str]) -> dict[str, Any]:
    """The OpenAPI document of a gateway with these identity headers and session cookies.

    It is shared: whoever changes it changes it for all.
    """
    said: dict[str, Any] = yaml.safe_load(
        files("authgw.web").joinpath("openapi.yml").read_text(encoding="utf-8")
    )
    said["info"]["version"] = version("authgw")
    parts = said["components"]
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
    for path, methods in said["paths"].items():
        for operation in methods.values():
            _add_refusals(path, operation)
    return said


def outline(said: dict[str, Any]) -> tuple[Operation, ...]:
    """Every operation of this document, in its order, with all references followed."""
    return tuple(
        _outlined(f"{method.upper()} {path}", _followed(operation, said))
        for path, methods in said["paths"].items()
        for method, operation in methods.items()
    )


def codes() -> tuple[Item, ...]:
    """Every code of a refusal with its status, what it means and what to do."""
    return tuple(
        Item(code, f"{reason.status}: {reason.meaning}. What to do: {reason.remedy}.")
        for code, reason in REASONS.items()
    )


def _ref(kind: str, name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _codes_of(status: int) -> list[str]:
    return [code for code, reason in REASONS.items() if reason.status == status]


def _problem(status: int) -> dict[str, Any]:
    known = {"status": {"const": status}, "code": {"enum": _codes_of(status)}}
    return {"allOf": [_ref("schemas", "Problem"), {"properties": known}]}


def _refusal(status: int) -> dict[str, Any]:
    headers = {
        "Cache-Control": _ref("headers", "no-store"),
        "X-Authgw-Reason": {"required": True, "schema": {"enum": _codes_of(status)}},
        "X-Request-ID": _ref("headers", "request-id"),
    }
    if status == 401:
        headers["WWW-Authenticate"] = _ref("headers", "challenge")
    if status in _ASK_AGAIN:
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
    """NGINX gets no body, a direct check a problem, others what they show to their client."""
    return {**refusal, "content": refusal["content"] | {"text/plain": _TEXT, "text/html": _TEXT}}


def _to_a_browser(refusal: dict[str, Any]) -> dict[str, Any]:
    """A form that is shown again tells a person what these headers tell a program."""
    kept = {"Cache-Control": refusal["headers"]["Cache-Control"]}
    return {**refusal, "headers": kept, "content": refusal["content"] | {"text/html": _TEXT}}


def _add_refusals(path: str, operation: dict[str, Any]) -> None:
    kind = "refused"
    if "decisions" in operation["tags"]:
        kind = "refused-to-a-proxy"
    elif path.startswith(("/login", "/logout")):
        kind = "refused-to-a-browser"
    for status in (*operation.pop("x-refused", ()), 500):
        operation["responses"][str(status)] = _ref("responses", f"{kind}-{status}")


def _followed(node: Any, said: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_followed(one, said) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        _, kind, name = node["$ref"].rsplit("/", 2)
        return _followed(said["components"][kind][name], said)
    return {key: _followed(value, said) for key, value in node.items()}


def _outlined(asked: str, operation: dict[str, Any]) -> Operation:
    return Operation(
        id=operation["operationId"],
        asked=asked,
        summary=operation["summary"],
        description=operation.get("description", ""),
        credentials=" or ".join("".join(one) or "none" for one in _alternatives(operation)),
        parameters=tuple(_parameter(one) for one in operation.get("parameters", ())),
        bodies=tuple(_bodies(operation.get("requestBody", {}).get("content", {}))),
        answers=tuple(_answer(status, one) for status, one in operation["responses"].items()),
    )


def _alternatives(operation: dict[str, Any]) -> list[dict[str, Any]]:
    return operation["security"] or [{}]


def _parameter(said: dict[str, Any]) -> Item:
    parts = (f"in the {said['in']}", "required" if said.get("required") else "optional")
    return Item(said["name"], _joined(", ".join(parts), _kind(said), said.get("description", "")))


def _bodies(content: dict[str, Any]) -> Iterator[tuple[str, tuple[Item, ...]]]:
    for media, body in content.items():
        schema = body["schema"]
        for one in schema.get("oneOf", [schema]):
            yield media, tuple(_fields(one))


def _fields(schema: dict[str, Any]) -> Iterator[Item]:
    for name, field in schema["properties"].items():
        needed = "required" if name in schema.get("required", ()) else "optional"
        yield Item(name, _joined(needed, _kind({"schema": field}), field.get("description", "")))


def _kind(said: dict[str, Any]) -> str:
    schema = said["schema"]
    if "enum" in schema:
        return " | ".join(schema["enum"])
    limits = f" from {schema['minimum']} to {schema['maximum']}" if "maximum" in schema else ""
    return f"{schema['type']}{limits}"


def _answer(status: str, said: dict[str, Any]) -> Item:
    headers, content = ", ".join(said.get("headers", ())), ", ".join(said.get("content", ()))
    return Item(status, _joined(said["description"].rstrip("."), content, headers))


def _joined(*parts: str) -> str:
    return ". ".join(part.rstrip(".") for part in parts if part) + "."
