"""The pages of the browser log-in: well-formed, labelled, inert for hostile values, readable."""

import re
from html.parser import HTMLParser
from typing import NamedTuple

import pytest
from jinja2 import UndefinedError

from authgw.web.openapi import Item, Operation
from authgw.web.pages import Look, Pages

VOID = {"input", "link", "meta"}
BASE = "https://auth.example.com/login"
HOSTILE = (
    "\"><script>alert(1)</script>'",
    "javascript:alert(1)",
    "' onfocus='alert(1)",
    "{{ 7*7 }}",
)


class Session(NamedTuple):
    sid: str
    device: str
    address: str
    last_used: str
    created: str
    current: bool


SESSIONS = [
    Session("sid-1", "Firefox on Windows", "203.0.113.7", "just now", "1 hour ago", True),
    Session("sid-2", "Safari on iPhone", "203.0.113.8", "2 days ago", "9 days ago", False),
]
ACCOUNT: dict[str, object] = {
    "token": "a-token",
    "who": "alice",
    "name": "Alice Example",
    "email": "alice@example.com",
    "groups": ["admins", "users"],
    "sessions": SESSIONS,
    "logout": "/logout",
    "message": "Session ended.",
    "home": "https://apps.example.com/",
}
PING = Operation(
    "ping", "POST /ping", "Ping.", "", "none", (Item("a", "b"),), (("c/d", (Item("e", "f"),)),), ()
)
CONTEXTS: dict[str, dict[str, object]] = {
    "docs.html": {
        "version": "1.0",
        "about": "What may be asked.",
        "operations": [PING, Operation("pong", "GET /x", "X.", "Y.", "none", (), (), ())],
        "codes": [Item("not_found", "there is no such page")],
    },
    "login.html": {
        "token": "a-token",
        "rd": "https://app.example.com/",
        "username": "alice",
        "message": "Wrong.",
        "signed_in_as": "bob",
    },
    "totp.html": {"token": "a-token", "rd": "/x", "who": "alice", "message": "Wrong."},
    "account.html": ACCOUNT,
    "logout.html": {"who": "alice", "token": "a-token", "logout": "/logout", "rd": "/x"},
    "logged_out.html": {},
    "denied.html": {
        "who": "bob",
        "needed": ["group admins", "user alice"],
        "why": "None of these is you.",
        "reason": "not_permitted",
        "request_id": "1f0c",
        "login_url": "https://auth.example.com/login?rd=x",
        "asked": "admin.example.com/x",
    },
    "unavailable.html": {"request_id": "1f0c"},
    "loop.html": {
        "host": "app.example.com",
        "message": "No Cookie.",
        "rd": "https://a.example.com/",
    },
    "problem.html": {
        "title": "Too many attempts",
        "message": "Wait.",
        "status": 429,
        "code": "too_many_failures",
        "request_id": "1f0c",
    },
}
# Further states of a page: (page, what its context has otherwise).
STATES: list[tuple[str, dict[str, object]]] = [
    *((name, {}) for name in CONTEXTS),
    ("login.html", {"rd": "", "username": "", "message": "", "signed_in_as": ""}),
    ("totp.html", {"message": "", "missing": False}),
    ("totp.html", {"missing": True}),
    ("account.html", {"name": "", "email": "", "groups": [], "message": "", "home": ""}),
    ("account.html", {"sessions": SESSIONS[:1]}),
    ("denied.html", {"who": "", "needed": [], "why": "", "login_url": "", "asked": ""}),
    ("denied.html", {"needed": ["group admins"]}),
    ("loop.html", {"rd": ""}),
]


class Page(HTMLParser):
    """The elements of a page; one that is not closed, or closed in the wrong order, fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice"
        assert not (tag in {"p", "h1", "h2"} and "p" in self.open), f"{tag} in a p"
        assert not (tag == "form" and "form" in self.open), "a form in a form"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "path"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        return [
            attrs
            for name, attrs in self.elements
            if name == tag and wanted.items() <= attrs.items()
        ]

    def one(self, tag: str, **wanted: str) -> dict[str, str]:
        (found,) = self.all(tag, **wanted)
        return found

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(data for _, data in self.words))


PAGES = Pages(Look("authgw"))


def page(name: str, /, **other: object) -> Page:
    return Page(PAGES.render(name, base=BASE, **{**CONTEXTS[name], **other}))


every_state = pytest.mark.parametrize(("name", "other"), STATES)


def test_every_template_is_a_page_that_is_tested_here() -> None:
    assert set(PAGES._templates) == set(CONTEXTS)


@every_state
def test_a_page_is_well_formed(name: str, other: dict[str, object]) -> None:
    text = PAGES.render(name, base=BASE, **{**CONTEXTS[name], **other})
    assert text.startswith("<!doctype html>\n<html lang=")
    seen = Page(text)
    assert seen.one("html")["lang"] == "en"
    assert seen.elements[2] == ("meta", {"charset": "utf-8"})
    assert "user-scalable" not in seen.one("meta", name="viewport")["content"]
    for tag in ("head", "title", "body", "header", "main", "h1"):
        assert len(seen.all(tag)) == 1
    assert next(word.strip() for tag, word in seen.words if tag == "title").endswith("· authgw")
    assert seen.one("link") == {"rel": "stylesheet", "href": f"{BASE}/style.css"}


@every_state
def test_ids_are_unique_and_every_reference_finds_one(name: str, other: dict[str, object]) -> None:
    seen = page(name, **other)
    ids = [attrs["id"] for _, attrs in seen.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in seen.elements:
        for reference in ("for", "aria-describedby", "aria-labelledby"):
            assert reference not in attrs or attrs[reference] in ids


@every_state
def test_every_field_has_a_label_and_every_label_a_field(
    name: str, other: dict[str, object]
) -> None:
    seen = page(name, **other)
    fields = [attrs["id"] for attrs in seen.all("input") if attrs["type"] != "hidden"]
    assert sorted(fields) == sorted(attrs["for"] for attrs in seen.all("label"))


@every_state
def test_every_form_posts_and_carries_the_token(name: str, other: dict[str, object]) -> None:
    seen = page(name, **other)
    assert {form["method"] for form in seen.all("form")} <= {"post"}
    tokens = seen.all("input", type="hidden", name="token", value="a-token")
    assert len(tokens) == len(seen.all("form")) == len(seen.all("form", method="post"))


@every_state
def test_nothing_needs_more_than_the_strict_policy_allows(
    name: str, other: dict[str, object]
) -> None:
    seen = page(name, **other)
    assert_inert(seen)


def assert_inert(seen: Page) -> None:
    for tag, attrs in seen.elements:
        assert tag not in {"script", "style", "img", "iframe", "object", "embed", "base"}
        assert not [attr for attr in attrs if attr == "style" or attr.startswith("on")]
        assert "http-equiv" not in attrs
        for attr in ("href", "action", "src"):
            assert re.match(r"(https://|/(?!/)|$)", attrs.get(attr, ""))


def assert_shown(seen: Page, value: str) -> None:
    """The value stands in the page as it is, as text or in an attribute."""
    attributes = [one for _, attrs in seen.elements for one in attrs.values()]
    assert value in seen.text or value in attributes


CONTROLLED = [
    (name, key)
    for name, context in CONTEXTS.items()
    for key, value in context.items()
    if isinstance(value, str) and key not in {"rd", "home", "login_url", "logout"}
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
    session = Session(value, value, value, value, value, False)
    for seen in (
        page("account.html", groups=[value], sessions=[session]),
        page("denied.html", needed=[value]),
        page("docs.html", codes=[Item(value, value)]),
        page("totp.html", who=value, missing=True),
    ):
        assert_inert(seen)
        assert_shown(seen, value)


@pytest.mark.parametrize("value", HOSTILE)
def test_the_way_back_in_a_form_is_a_value_as_it_came(value: str) -> None:
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
def test_what_is_no_web_address_becomes_no_link(name: str, key: str, value: str) -> None:
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
    pages = Pages(Look('<b>Acme</b> & "Söhne"'))
    for name in CONTEXTS:
        seen = Page(pages.render(name, base=BASE, **CONTEXTS[name]))
        assert not seen.all("b")
        assert '<b>Acme</b> & "Söhne"' in seen.text


def test_a_context_that_lacks_a_name_is_an_error() -> None:
    for name, context in CONTEXTS.items():
        for missing in context:
            rest = {key: value for key, value in context.items() if key != missing}
            with pytest.raises(UndefinedError):
                PAGES.render(name, base=BASE, **rest)


def test_a_page_that_does_not_exist_is_an_error() -> None:
    for name in ("_layout.html", "nothing.html"):
        with pytest.raises(KeyError):
            PAGES.render(name, base=BASE)


def test_log_in_fields_help_password_managers_and_phones() -> None:
    seen = page("login.html", username="", message="", rd="/back")
    username, password = seen.one("input", id="username"), seen.one("input", id="password")
    assert username["autocomplete"] == "username"
    assert (username["autocapitalize"], username["spellcheck"]) == ("none", "false")
    assert (password["type"], password["autocomplete"]) == ("password", "current-password")
    assert "autofocus" in username
    assert "autofocus" not in password
    assert seen.one("form")["action"] == BASE
    assert seen.one("input", name="rd")["value"] == "/back"
    assert not seen.all("p", role="alert")


def test_a_failed_log_in_keeps_the_username_and_says_why() -> None:
    seen = page("login.html", username="alice", message="Wrong.")
    assert seen.one("p", role="alert")["id"] == "alert"
    for field in (seen.one("input", id="username"), seen.one("input", id="password")):
        assert (field["aria-invalid"], field["aria-describedby"]) == ("true", "alert")
    assert seen.one("input", id="username")["value"] == "alice"
    assert "value" not in seen.one("input", id="password")
    assert "autofocus" in seen.one("input", id="password")
    assert ("title", "Error: Log in · authgw") in seen.words


def test_whoever_is_signed_in_learns_that_the_session_ends() -> None:
    said = "You are signed in as bob. Logging in as somebody else ends that session."
    assert said in page("login.html").text
    assert "signed in" not in page("login.html", signed_in_as="").text


def test_the_code_field_restricts_no_recovery_code() -> None:
    seen = page("totp.html", message="")
    code, recovery = seen.one("input", id="code"), seen.one("input", id="recovery")
    assert (code["autocomplete"], code["inputmode"]) == ("one-time-code", "numeric")
    assert "inputmode" not in recovery
    for field in (code, recovery):
        assert field["name"] == "code"
        assert not {"pattern", "maxlength", "minlength"} & field.keys()
    assert {form["action"] for form in seen.all("form")} == {f"{BASE}/totp"}
    assert seen.one("a")["href"] == f"{BASE}?switch=yes"


def test_a_missing_second_factor_offers_no_form() -> None:
    seen = page("totp.html", missing=True)
    assert not seen.all("form")
    assert "authgw user totp alice" in seen.text


def test_each_other_session_can_be_ended_by_a_button_that_names_it() -> None:
    seen = page("account.html")
    assert [field["value"] for field in seen.all("input", name="sid")] == ["sid-2"]
    assert (
        "End the session of Safari on iPhone, last used 2 days ago, from 203.0.113.8" in seen.text
    )
    assert seen.one("input", name="others")["value"] == "yes"
    assert len(seen.all("form", action=f"{BASE}/end")) == 2
    assert seen.one("form", action="/logout")
    assert seen.one("p", role="status")


def test_a_sole_session_has_nothing_else_to_end() -> None:
    seen = page("account.html", sessions=SESSIONS[:1])
    assert not seen.all("form", action=f"{BASE}/end")


def test_a_denied_page_says_who_what_and_why() -> None:
    seen = page("denied.html")
    for said in (
        "You are signed in as bob. None of these is you.",
        "This page needs one of: group admins user alice",
        "admin.example.com/x",
        "not_permitted",
        "1f0c",
        "Switch account",
    ):
        assert said in seen.text
    nobody = page("denied.html", who="", needed=[])
    assert "You are not signed in." in nobody.text
    assert "This page needs" not in nobody.text
    assert "Switch account" not in nobody.text


def test_a_request_id_is_shown_where_help_may_be_needed() -> None:
    for name in ("denied.html", "unavailable.html", "problem.html"):
        assert "Request 1f0c" in page(name).text


def test_every_class_of_a_page_is_in_the_stylesheet() -> None:
    used = {
        one
        for name, other in STATES
        for _, attrs in page(name, **other).elements
        for one in attrs.get("class", "").split()
    }
    rules = re.sub(r"/\*.*?\*/", "", PAGES.stylesheet, flags=re.DOTALL)
    styled = set(re.findall(r"\.([a-z]+)", rules))
    assert used == styled
