"""A browser without scripts, on real connections: cookies of several hosts, redirects, forms."""

import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urljoin, urlsplit

from tests.support.processes import HttpResponse, answer_of

_MAX_REDIRECTS = 20


@dataclass(frozen=True)
class Form:
    action: str
    method: str
    fields: Mapping[str, str]


class _Forms(HTMLParser):
    """The forms of a page with their fields, and fields and buttons that name a form."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[dict[str, str], dict[str, str]]] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((given, {}))
        elif tag in ("input", "button") and "name" in given and self.forms:
            owner = given.get("form")
            named = (fields for form, fields in self.forms if form.get("id") == owner)
            fields = next(named) if owner else self.forms[-1][1]
            fields[given["name"]] = given.get("value", "")
        elif tag == "a" and "href" in given:
            self.links.append(given["href"])


@dataclass
class WebClient:
    """A browser: its cookies by host, the page that it shows, and the URLs that led to it.

    Every name below `localhost` is this machine. `ports` has the ports of hosts that are reached at
    another port than their URL has.
    """

    cookies: dict[tuple[str, str], str] = field(default_factory=dict)
    url: str = ""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""
    visited: list[str] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)

    def get(self, url: str, **headers: str) -> "WebClient":
        """Open a URL, as typed: no other page leads to it."""
        self.visited = []
        return self._open("GET", url, None, {"Sec-Fetch-Site": "none", **headers})

    def follow(self, part: str) -> "WebClient":
        """Click the first link whose address has this part."""
        link = next(link for link in self._parsed().links if part in link)
        self.visited = []
        return self._open("GET", urljoin(self.url, link), None, self._from_here(link))

    def submit(self, part: str = "", **fields: str) -> "WebClient":
        """Fill in the first form whose action has this part, and send it."""
        form = next(form for form in self.forms if part in form.action)
        action = urljoin(self.url, form.action)
        sent = {**form.fields, **fields}
        self.visited = []
        if form.method == "get":
            action = f"{action.partition('?')[0]}?{urlencode(sent)}"
            return self._open("GET", action, None, self._from_here(action))
        return self._open("POST", action, urlencode(sent), self._from_here(action))

    @property
    def forms(self) -> list[Form]:
        return [
            Form(given.get("action", self.url), given.get("method", "get").lower(), fields)
            for given, fields in self._parsed().forms
        ]

    def shows(self, text: str) -> bool:
        """Return True if the page has this text, whatever its elements are."""
        return text in re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", self.text))

    def cookies_of(self, host: str) -> dict[str, str]:
        return {
            name: value
            for (domain, name), value in self.cookies.items()
            if host == domain or (domain.startswith(".") and f".{host}".endswith(domain))
        }

    def _parsed(self) -> _Forms:
        parser = _Forms()
        parser.feed(self.text)
        return parser

    def _from_here(self, target: str) -> dict[str, str]:
        is_own = _origin(urljoin(self.url, target)) == _origin(self.url)
        return {
            "Origin": _origin(self.url),
            "Referer": self.url,
            "Sec-Fetch-Site": "same-origin" if is_own else "cross-site",
        }

    def _open(
        self, method: str, url: str, body: str | None, headers: dict[str, str]
    ) -> "WebClient":
        for _ in range(_MAX_REDIRECTS):
            self.visited.append(url)
            # Browsers name the origin of forms only.
            sent = {
                name: text for name, text in headers.items() if method == "POST" or name != "Origin"
            }
            answer = self._send(method, url, body, sent)
            self.url, self.status = url, answer.status
            # HAProxy writes names in lower case.
            self.headers = {name.title(): text for name, text in answer.headers.items()}
            self.text = answer.body.decode("utf-8", "replace")
            location = self.headers.get("Location")
            if location is None or not 300 <= answer.status < 400:
                return self
            if answer.status == 303 or method == "POST":
                method, body = "GET", None
            if _origin(urljoin(url, location)) != _origin(url):
                headers["Sec-Fetch-Site"] = "cross-site"
            url = urljoin(url, location)
        raise AssertionError(f"more than {_MAX_REDIRECTS} redirects: {self.visited}")

    def _send(
        self, method: str, url: str, body: str | None, headers: Mapping[str, str]
    ) -> HttpResponse:
        parts = urlsplit(url)
        host = parts.hostname or ""
        assert host == "127.0.0.1" or host.endswith("localhost"), url
        sent = {
            "Host": parts.netloc,
            "Accept": "text/html,application/xhtml+xml",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "document",
            **headers,
        }
        if cookies := self.cookies_of(host):
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        if body is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        port = self.ports.get(parts.netloc) or parts.port or 80
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            link.request(method, path, body, sent)
            response = link.getresponse()
            self._store(host, response.headers.get_all("Set-Cookie", []))
            return answer_of(response)
        finally:
            link.close()

    def _store(self, host: str, lines: list[str]) -> None:
        for line in lines:
            for name, morsel in SimpleCookie(line).items():
                domain = f".{morsel['domain'].lstrip('.')}" if morsel["domain"] else host
                if morsel["max-age"] == "0" or not morsel.value:
                    self.cookies.pop((domain, name), None)
                else:
                    self.cookies[domain, name] = morsel.value


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
