"""Collects the stored and public names of authgw from its code.

A name that is collected by reading the source keeps its place in the list wherever the code that
holds it is moved to.
"""

import ast
import importlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import jwt
from pydantic import BaseModel

import authgw
from authgw.cli import main
from authgw.config.environment import known_variables
from authgw.config.schema import HeaderSettings, Settings
from authgw.config.schema_paths import accepts, model_of
from authgw.core.endpoints import ENDPOINTS
from authgw.core.log_events import EVENTS, FIELDS
from authgw.core.login_sites import LoginSite
from authgw.core.reasons import CAUSES, REASONS
from authgw.core.redirects import Redirects
from authgw.core.session_codec import dump
from authgw.core.tokens import TicketClaims, TokenType
from authgw.dialects.headers import SESSION_COOKIES
from authgw.identity import clients_file, user_entry
from authgw.storage import redis
from authgw.storage.redis.commands import Script
from authgw.storage.sqlite import database
from authgw.web.cookies import Purpose
from authgw.web.openapi import describe
from tests.support.builders import KEY, NOW, ROTATED_SESSION, a_session, an_issuer
from tests.unit.public_command_names import commands_of, exit_statuses, json_of_commands
from tools.reference.metrics import described_metrics

PACKAGE = Path(authgw.__file__).parent
# These name headers of other products, to clear or to find them.
_OF_OTHERS = ("recipes", "doctor")
_HEADER = re.compile(r"(X|Remote)(-[A-Za-z]+)+")
_TICKETS = (TokenType.PENDING, TokenType.DEVICE)


def collect() -> dict[str, Any]:
    """Return every name by its kind, as the data file holds them."""
    return {
        "reasons": {code: reason.status for code, reason in REASONS.items()},
        "metrics": _metrics(),
        "log events": sorted(EVENTS),
        "log fields": sorted(FIELDS),
        "causes": sorted(CAUSES),
        "configuration": sorted(_keys(Settings)),
        "environment": sorted(known_variables()),
        "users file": sorted(_keys(user_entry.UserEntry)),
        "clients file": sorted(_keys(_model(clients_file, "secret_sha256"))),
        "commands": commands_of(main, "authgw"),
        "exit statuses": exit_statuses(),
        "paths": [
            f"{' '.join(endpoint.methods)} {endpoint.path}{'/...' if endpoint.prefix else ''}: "
            + " ".join(sorted(part.name or "" for part in endpoint.audience))
            for endpoint in ENDPOINTS
        ],
        "json": {**_api(), **json_of_commands()},
        "headers": _headers(),
        "cookies": _cookies(),
        "tokens": _tokens(),
        "session record": sorted(_fields_of(json.loads(dump(a_session())))),
        "compact session record": _compact_record(),
        "app password prefixes": sorted(
            {text for text in _constants() if re.fullmatch("ag[a-z]_", text)}
        ),
        "redis": _redis(),
        "sqlite": _sqlite(),
    }


@cache
def _tree(path: Path) -> ast.AST:
    return ast.parse(path.read_text())


def _sources(*without: str) -> Iterator[ast.AST]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] not in without:
            yield _tree(path)


def _constants(*without: str) -> Iterator[str]:
    for tree in _sources(*without):
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def _metrics() -> dict[str, str]:
    return {each.name: _kind_and_labels(each.kind, each.labels) for each in described_metrics()}


def _kind_and_labels(kind: str, labels: tuple[str, ...]) -> str:
    return " ".join([kind, *(f"{{{label}}}" for label in labels)])


def _keys(model: type[BaseModel], above: str = "") -> Iterator[str]:
    """Keys with the words that they take, where only some may be written."""
    for name, info in model.model_fields.items():
        key = f"{above}{info.alias or name}"
        yield f"{key} {' | '.join(_words(info.annotation))}".strip()
        inner = model_of(info.annotation)
        if inner is not None:
            yield from _keys(inner, f"{key}[]." if accepts(info.annotation, tuple) else f"{key}.")


def _words(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(word) for word in get_args(annotation)]
    return [word for inner in get_args(annotation) for word in _words(inner)]


def _model(module: Any, field: str) -> type[BaseModel]:
    """The model of this module that has this field."""
    models = [member for member in vars(module).values() if isinstance(member, type)]
    return next(m for m in models if issubclass(m, BaseModel) and field in m.model_fields)


def _api() -> dict[str, Any]:
    document = describe(HeaderSettings().identity, frozenset(SESSION_COOKIES))
    parts = document["components"]

    def followed(node: Any) -> Any:
        while isinstance(node, dict) and "$ref" in node:
            _, kind, name = node["$ref"].rsplit("/", 2)
            node = parts[kind][name]
        return node

    def fields(schema: Any, above: str = "") -> Iterator[str]:
        schema = followed(schema)
        if not isinstance(schema, dict):
            return
        for name, inner in schema.get("properties", {}).items():
            yield f"{above}{name}"
            yield from fields(inner, f"{above}{name}.")
        if "items" in schema:
            yield from fields(schema["items"], f"{above}[].")
        for several in ("oneOf", "anyOf", "allOf"):
            for variant in schema.get(several, ()):
                yield from fields(variant, above)

    found = {
        f"{method.upper()} {path}": _operation(operation, followed, fields)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    found["refusals"] = {
        **{
            name.removeprefix("refused-"): ", ".join(sorted(response["headers"]))
            for name, response in sorted(parts["responses"].items())
            if re.fullmatch(r"refused-\d+", name)
        },
        "body": " ".join(sorted(fields({"$ref": "#/components/schemas/Problem"}))),
    }
    return found


def _operation(
    operation: dict[str, Any],
    followed: Callable[[Any], Any],
    fields: Callable[[Any], Iterator[str]],
) -> dict[str, str]:
    def bodies(holder: Any) -> str:
        content = followed(holder).get("content", {})
        return "; ".join(
            " ".join([media, *sorted(set(fields(body.get("schema", {}))))])
            for media, body in content.items()
        )

    parameters = [followed(parameter) for parameter in operation.get("parameters", ())]
    found = {
        "parameters": ", ".join(
            sorted(f"{parameter['in']} {parameter['name']}" for parameter in parameters)
        ),
        "body": bodies(operation.get("requestBody", {})),
    }
    refused = []
    for status, response in operation["responses"].items():
        if response.get("$ref", "").startswith("#/components/responses/refused-"):
            refused.append(status)
            continue
        headers = sorted(followed(response).get("headers", {}))
        found[status] = "; ".join(filter(None, [bodies(response), ", ".join(headers)]))
    found["refused"] = " ".join(sorted(refused))
    return {name: said for name, said in found.items() if said or name.isdigit()}


def _headers() -> list[str]:
    found = {text for text in _constants(*_OF_OTHERS) if _HEADER.fullmatch(text)}
    return sorted(found)


def _cookies() -> dict[str, list[str]]:
    pages = [("https://auth.a.test/login", None), ("https://auth.a.test/login", "a.test")]
    sites = [
        LoginSite(url, domain, Redirects((), "https://auth.a.test", ""))
        for url, domain in [*pages, ("http://localhost/login", None)]
    ]
    return {
        "session": sorted({*SESSION_COOKIES, *(site.session_cookie for site in sites)}),
        "helpers": sorted(
            {site.helper_cookie(name) for site in sites for name in get_args(Purpose)}
        ),
    }


def _tokens() -> dict[str, Any]:
    issuer, session = an_issuer(), a_session()
    found = {}
    for kind in TokenType:
        text = (
            issuer.mint_ticket("1", kind, TicketClaims("t", 60, "m"), now=NOW)
            if kind in _TICKETS
            else issuer.mint(session, kind, now=NOW)
        )
        head, claims = _parts_of(text)
        found[kind.claim] = {
            "typ": head["typ"],
            "kid": head["kid"].replace(KEY.kid, "<>"),
            "head": sorted(head),
            "claims": sorted(claims),
        }
    return found


def _compact_record() -> list[Any]:
    """The items of a record in their order, of a session without a usual value."""
    return json.loads(dump(ROTATED_SESSION, compact=True))  # type: ignore[no-any-return]  # a list


def _parts_of(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token, unverified."""
    return jwt.get_unverified_header(text), jwt.decode(text, options={"verify_signature": False})


def _fields_of(record: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in record.items():
        yield f"{above}{name}"
        if isinstance(value, dict):
            yield from _fields_of(value, f"{above}{name}.")


def _redis() -> dict[str, Any]:
    folder = Path(next(iter(redis.__path__)))
    names: set[str] = set()
    scripts = {}
    for path in sorted(folder.glob("*.py")):
        names |= _redis_names(_tree(path))
        module = importlib.import_module(f"authgw.storage.redis.{path.stem}")
        for name, value in vars(module).items():
            if isinstance(value, Script):
                commands = sorted(set(re.findall(r"redis\.call\('(\w+)'", value.text)))
                scripts[name.strip("_").lower()] = " ".join(commands)
    return {"names": sorted(names), "scripts": dict(sorted(scripts.items()))}


def _redis_names(tree: ast.AST) -> set[str]:
    """Keys and channels: formatted texts, and constants that are given a name."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            found.add(
                "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "<>"
                    for part in node.values
                )
            )
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            found.add(str(node.value.value))
    return {text for text in found if re.match("authgw[:.]", text)}


def _sqlite() -> dict[str, Any]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(database._SCHEMA)
    tables = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL")
    layout = {name: " ".join(sql.split()) for name, sql in sorted(tables)}
    connection.close()
    return {"user_version": database._SCHEMA_VERSION, "layout": layout}
