"""Every page of the browser log-in with something to show, and a page's elements."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import NamedTuple

from authgw.web.openapi import Item, Operation
from authgw.web.templating import SCRIPT_SOURCE, PageRenderer, PageTheme

VOID = {"img", "input", "link", "meta"}
BASE = "https://auth.example.com/login"


class ShownSession(NamedTuple):
    sid: str
    device: str
    address: str
    last_used: str
    created: str
    current: bool


class ShownButton(NamedTuple):
    name: str
    label: str
    start: str
    has_icon: bool
    note: str = ""


class ShownAccount(NamedTuple):
    name: str
    label: str
    is_linked: bool


class ShownLinks(NamedTuple):
    accounts: tuple[ShownAccount, ...] = ()
    can_change: bool = False
    hint: str = ""
    log_in_again: str = ""


BUTTONS = [
    ShownButton("company", "Example Ltd", "/login/oidc/company?rd=%2Fx", True),
    ShownButton("github", "GitHub", "/login/oidc/github?rd=%2Fx", False, "Away a moment ago."),
]
ACCOUNTS = (
    ShownAccount("company", "Example Ltd", True),
    ShownAccount("github", "GitHub", False),
)
SESSIONS = [
    ShownSession("sid-1", "Firefox on Windows", "203.0.113.7", "just now", "1 hour ago", True),
    ShownSession("sid-2", "Safari on iPhone", "203.0.113.8", "2 days ago", "9 days ago", False),
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
    "source": "Example Ltd",
    "links": ShownLinks(ACCOUNTS, can_change=True),
}
PING = Operation(
    "ping", "POST /ping", "Ping.", "", "none", (Item("a", "b"),), (("c/d", (Item("e", "f"),)),), ()
)
CONTEXTS: dict[str, dict[str, object]] = {
    "docs.html": {
        "version": "1.0",
        "about": "The HTTP API.",
        "operations": [PING, Operation("pong", "GET /x", "X.", "Y.", "none", (), (), ())],
        "codes": [Item("not_found", "this page does not exist")],
    },
    "login.html": {
        "methods": ["_login_password.html", "_login_providers.html"],
        "providers": BUTTONS,
        "has_form": True,
        "token": "a-token",
        "rd": "https://app.example.com/",
        "username": "alice",
        "message": "Wrong.",
        "signed_in_as": "bob",
    },
    "totp.html": {"token": "a-token", "rd": "/x", "who": "alice", "message": "Wrong."},
    "rescue.html": {"token": "a-token", "ticket": "a-ticket", "who": "alice", "message": "Wrong."},
    "account.html": ACCOUNT,
    "logout.html": {"who": "alice", "token": "a-token", "logout": "/logout", "rd": "/x"},
    "logged_out.html": {},
    "provider_switch.html": {
        "who": "alice",
        "provider": "company",
        "label": "Example Ltd",
        "token": "a-token",
        "rd": "https://app.example.com/",
        "stay": "/login?rd=%2Fx",
    },
    "provider_problem.html": {
        "title": "Start the login again",
        "messages": ["It took too long.", "Nothing was changed."],
        "again": "/login/oidc/company?rd=%2Fx",
        "button": "Start again",
        "elsewhere": "/login?switch=yes&rd=%2Fx",
        "elsewhere_text": "Other ways to log in",
        "status": 400,
        "code": "flow_invalid",
        "request_id": "1f0c",
    },
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
# Further states of a page: (page, changes of its context).
STATES: list[tuple[str, dict[str, object]]] = [
    *((name, {}) for name in CONTEXTS),
    ("login.html", {"rd": "", "username": "", "message": "", "signed_in_as": ""}),
    ("login.html", {"methods": ["_login_providers.html"], "has_form": False, "message": ""}),
    ("login.html", {"providers": []}),
    ("login.html", {"rd": "", "cut": True}),
    ("provider_problem.html", {"again": "", "elsewhere": ""}),
    ("account.html", {"links": ShownLinks(ACCOUNTS, False, "Not now.", "/login?switch=yes")}),
    ("account.html", {"links": ShownLinks(), "source": ""}),
    ("totp.html", {"message": "", "missing": False}),
    ("totp.html", {"missing": True}),
    ("rescue.html", {"message": ""}),
    ("account.html", {"name": "", "email": "", "groups": [], "message": "", "home": ""}),
    ("account.html", {"sessions": SESSIONS[:1]}),
    ("denied.html", {"who": "", "needed": [], "why": "", "login_url": "", "asked": ""}),
    ("denied.html", {"needed": ["group admins"]}),
    ("loop.html", {"rd": ""}),
]


class Page(HTMLParser):
    """The elements of a page; an unclosed or wrongly nested element fails."""

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
        shown = "".join(data for tag, data in self.words if tag != "script")
        return re.sub(r"\s+", " ", shown)


PAGES = PageRenderer(PageTheme("authgw"))


def page(name: str, /, **other: object) -> Page:
    return Page(PAGES.render(name, base=BASE, **{**CONTEXTS[name], **other}))


def script_source(seen: Page) -> str:
    """Return the CSP source of the page's only script, computed as browsers do."""
    assert seen.all("script") == [{}]
    (text,) = (data for tag, data in seen.words if tag == "script")
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def assert_inert(seen: Page) -> None:
    assert script_source(seen) == SCRIPT_SOURCE
    for tag, attrs in seen.elements:
        assert tag not in {"style", "iframe", "object", "embed", "base"}
        # Icons of providers only, from our own address.
        assert tag != "img" or re.fullmatch(rf"{BASE}/oidc/[a-z0-9-]+/icon", attrs["src"])
        assert not [attr for attr in attrs if attr == "style" or attr.startswith("on")]
        assert "http-equiv" not in attrs
        for attr in ("href", "action", "src"):
            assert re.match(r"(https://|/(?!/)|$)", attrs.get(attr, ""))
