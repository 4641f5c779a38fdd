"""Hostile values in the login pages: shown as text, never as links or markup."""

import pytest

from authgw.web.openapi import Item
from authgw.web.templating import PageRenderer, PageTheme
from tests.support.every_page import BASE, CONTEXTS, Page, ShownSession, assert_inert, page

HOSTILE = (
    "\"><script>alert(1)</script>'",
    "javascript:alert(1)",
    "' onfocus='alert(1)",
    "{{ 7*7 }}",
)


def assert_shown(seen: Page, value: str) -> None:
    """Assert that the page contains the value unchanged, as text or in an attribute."""
    attributes = [text for _, attrs in seen.elements for text in attrs.values()]
    assert value in seen.text or value in attributes


# Addresses, which are links only if they may be, and the name of a provider, `[a-z0-9-]+`.
ADDRESSES = {"rd", "home", "login_url", "logout", "stay", "again", "elsewhere", "provider"}
CONTROLLED = [
    (name, key)
    for name, context in CONTEXTS.items()
    for key, value in context.items()
    if isinstance(value, str) and key not in ADDRESSES
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(("name", "key"), CONTROLLED)
def test_a_hostile_value_is_text(name: str, key: str, value: str) -> None:
    seen = page(name, **{key: value})
    assert_inert(seen)
    assert_shown(seen, value)
    assert [tag for tag, _ in seen.elements] == [tag for tag, _ in page(name).elements]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_lists_and_sessions_are_text(value: str) -> None:
    session = ShownSession(value, value, value, value, value, False)
    for seen in (
        page("account.html", groups=[value], sessions=[session]),
        page("denied.html", needed=[value]),
        page("docs.html", codes=[Item(value, value)]),
        page("totp.html", who=value, missing=True),
    ):
        assert_inert(seen)
        assert_shown(seen, value)


@pytest.mark.parametrize("value", HOSTILE)
def test_return_target_in_a_form_is_unchanged(value: str) -> None:
    for name in ("login.html", "totp.html", "logout.html"):
        seen = page(name, rd=value)
        assert_inert(seen)
        assert all(field["value"] == value for field in seen.all("input", name="rd"))


LINKS = [("loop.html", "rd"), ("account.html", "home"), ("denied.html", "login_url")]


@pytest.mark.parametrize(
    "value",
    [
        *HOSTILE,
        "",
        "JavaScript:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "https:evil.example",
        "https://app.example.com/\nx",
        "https://app.example.com\\@evil.example",
        "app",
    ],
)
@pytest.mark.parametrize(("name", "key"), LINKS)
def test_only_web_addresses_become_links(name: str, key: str, value: str) -> None:
    usual, seen = page(name), page(name, **{key: value})
    assert_inert(seen)
    assert len(seen.all("a")) == len(usual.all("a")) - 1


@pytest.mark.parametrize(
    "value", ["/", "/apps", "https://app.example.com/?a=1&b=2", "http://a.test"]
)
@pytest.mark.parametrize(("name", "key"), LINKS)
def test_a_web_address_becomes_a_link(name: str, key: str, value: str) -> None:
    assert page(name, **{key: value}).one("a", href=value)


def test_the_products_name_is_escaped() -> None:
    pages = PageRenderer(PageTheme('<b>Acme</b> & "Söhne"'))
    for name in CONTEXTS:
        seen = Page(pages.render(name, base=BASE, **CONTEXTS[name]))
        assert not seen.all("b")
        assert '<b>Acme</b> & "Söhne"' in seen.text
