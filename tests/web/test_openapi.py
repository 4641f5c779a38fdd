"""The description of the API: valid, complete, and of codes that exist."""

import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from authgw.config.schema import HeaderSettings
from authgw.core.model import IdentityHeaders
from authgw.core.reasons import REASONS
from authgw.web.openapi import describe
from tests.support.every_page import Page, assert_inert
from tests.support.gateway import MakeGateway, RunningGateway
from tests.support.provider_browser import with_provider

DOCUMENT = describe(HeaderSettings().identity, frozenset())
# OpenAPI knows no path of any length; /docs is there only if asked for.
LEFT_OUT = {"/authenticate/envoy{path}", "/docs"}


@pytest.fixture
async def documented(make_gateway: MakeGateway) -> RunningGateway:
    return await make_gateway(server={"docs": True}, login=with_provider(make_gateway.folder))


def enums(node: Any) -> Iterator[list[str]]:
    """Every list of codes in this part of the document."""
    if isinstance(node, list):
        for item in node:
            yield from enums(item)
    if isinstance(node, dict):
        for key in ("code", "X-Authgw-Reason"):
            schema = node.get(key, {})
            yield from filter(None, [schema.get("enum"), schema.get("schema", {}).get("enum")])
        for item in node.values():
            yield from enums(item)


def test_it_is_openapi() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_the_validator_can_fail() -> None:
    broken = {**DOCUMENT, "paths": {"/ping": {"get": {"responses": {"200": {}}}}}}
    assert list(OpenAPIV31SpecValidator(broken).iter_errors())


async def test_every_route_is_described(documented: RunningGateway) -> None:
    routes = {
        (route.method.lower(), re.sub(r"\{path:.*\}", "{path}", str(route.resource.canonical)))
        for route in documented.server.app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    described = {(method, path) for path, item in DOCUMENT["paths"].items() for method in item}
    assert {route for route in routes if route[1] not in LEFT_OUT} == described
    assert {path for _, path in routes - described} == LEFT_OUT


def test_every_code_exists_and_is_said() -> None:
    code_lists = list(enums(DOCUMENT))
    assert code_lists
    assert {code for codes in code_lists for code in codes} == set(REASONS)
    for status in {reason.status for reason in REASONS.values()}:
        problem = DOCUMENT["components"]["schemas"][f"Problem{status}"]
        codes = problem["allOf"][1]["properties"]["code"]["enum"]
        assert {REASONS[code].status for code in codes} == {status}


def test_no_shorthand_is_left() -> None:
    assert "x-refused" not in str(DOCUMENT)


def test_every_operation_says_its_credentials_and_the_statuses_of_a_failure() -> None:
    for item in DOCUMENT["paths"].values():
        for operation in item.values():
            assert "500" in operation["responses"]
            assert isinstance(operation["security"], list)


def test_configured_names_are_said() -> None:
    parts = describe(IdentityHeaders({"user": "X-User"}), frozenset({"authgw"}))["components"]
    assert parts["securitySchemes"]["session"]["name"] == "authgw"
    assert "X-User" in parts["responses"]["allowed"]["headers"]
    assert "Remote-User" not in parts["responses"]["allowed"]["headers"]


async def test_it_is_served_to_anybody(gateway: RunningGateway) -> None:
    answer = await gateway.client.get("/openapi.json")
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    document = await answer.json()
    assert document == DOCUMENT
    assert document["info"]["version"] == version("authgw")


async def test_the_page_is_there_only_if_asked_for(
    gateway: RunningGateway, documented: RunningGateway
) -> None:
    assert (await gateway.client.get("/docs")).status == 404
    answer = await documented.client.get("/docs")
    assert (answer.status, answer.content_type) == (200, "text/html")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src")
    style = Page(text := await answer.text()).one("link", rel="stylesheet")["href"]
    assert (await documented.client.get(style)).status == 200
    assert text.startswith("<!doctype html>")


async def test_the_page_says_every_operation_and_code(documented: RunningGateway) -> None:
    seen = Page(await (await documented.client.get("/docs")).text())
    assert_inert(seen)
    ids = [attrs["id"] for _, attrs in seen.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    linked = {link["href"].removeprefix("/docs#") for link in seen.all("a")}
    assert set(ids) == linked - {"/openapi.json"}
    for path, item in DOCUMENT["paths"].items():
        for method in item:
            assert f"{method.upper()} {path}" in seen.text
    for code in REASONS:
        assert code in seen.text
