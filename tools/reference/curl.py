"""Example commands of curl for the operations of an OpenAPI document."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

# Values by the name of their field, header or parameter.
_VALUES: Mapping[str, Any] = {
    "X-Forwarded-Host": "app.example.com",
    "X-Forwarded-Method": "GET",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Uri": "/path?x=1",
    "X-Original-Host": "app.example.com",
    "X-Original-Method": "GET",
    "X-Original-URL": "https://app.example.com/path?x=1",
    "code": "123456",
    "logout_token": "$LOGOUT_TOKEN",
    "password": "correct horse battery",
    "refresh": "$REFRESH_TOKEN",
    "sid": "$SID",
    "subject": "alice",
    "ticket": "$TICKET",
    "token": "$FORM_TOKEN",
    "user_id": 1,
    "username": "alice",
}
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_CREDENTIALS = {
    "client": '-u "$CLIENT"',
    "bearer": '-H "Authorization: Bearer $ACCESS_TOKEN"',
    "session": '-b "$COOKIES"',
}


def command(method: str, url: str, operation: Mapping[str, Any]) -> str:
    """Return a command for this operation, whose references are resolved."""
    data = list(_data(operation.get("requestBody", {}).get("content", {})))
    words = ["-X POST"] if method == "post" and not data else []
    words += [*_credentials(operation), *_headers(operation), *data]
    query = _query(operation)
    address = _quoted(f"{url}{query}") if query else url
    return " \\\n  ".join([f"curl {address}", *words])


def _query(operation: Mapping[str, Any]) -> str:
    """Return the first parameter of the query that has a value, for a list of alternatives."""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query" and parameter["name"] in _VALUES:
            return f"?{parameter['name']}={_VALUES[parameter['name']]}"
    return ""


def _credentials(operation: Mapping[str, Any]) -> Iterator[str]:
    alternatives = operation["security"] or [{}]
    yield from (_CREDENTIALS[name] for name in alternatives[0])


def _headers(operation: Mapping[str, Any]) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        name = parameter["name"]
        if parameter["in"] == "header" and parameter.get("required"):
            yield f"-H {_quoted(f'{name}: {_VALUES[name]}')}"


def _data(content: Mapping[str, Any]) -> Iterator[str]:
    if _JSON in content:
        fields = _fields(content[_JSON]["schema"])
        if fields:
            yield "-H 'Content-Type: application/json'"
            yield f"-d {_quoted(json.dumps(fields))}"
    elif _FORM in content:
        for name, value in _fields(content[_FORM]["schema"]).items():
            yield f"--data-urlencode {_quoted(f'{name}={value}')}"


def _fields(schema: Mapping[str, Any]) -> dict[str, Any]:
    alternative = schema.get("oneOf", [schema])[0]
    return {name: _VALUES[name] for name in alternative.get("required", ())}


def _quoted(text: str) -> str:
    """Return the text as a word of the shell, in which variables are replaced."""
    if "$" not in text:
        return f"'{text}'"
    escaped = text.replace('"', '\\"')
    return f'"{escaped}"'
