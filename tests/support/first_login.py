"""A login as a browser does it: from a protected page to the login form and back, by cookies."""

import http.client
import ssl
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urljoin, urlsplit

from tests.support.processes import ISSUED, HttpResponse, answer_of

_NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
_MAX_REDIRECTS = 10


class _LoginForm(HTMLParser):
    """The action and the hidden fields of the form with a password."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action, self.fields = "", dict[str, str]()
        self.has_password = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form" and not self.has_password:
            self.action, self.fields = found.get("action", ""), {}
        elif tag == "input" and found.get("type") == "hidden":
            self.fields[found["name"]] = found.get("value", "")
        elif tag == "input" and found.get("type") == "password":
            self.has_password = True


class HttpBrowser:
    """As much of a browser as a login needs; all hosts are at the same port of this machine."""

    def __init__(self, port: int, *, tls: bool = False) -> None:
        self._port = port
        self._tls = tls
        self._cookies: dict[str, str] = {}

    def open(self, url: str, form: dict[str, str] | None = None) -> tuple[str, HttpResponse]:
        """Request a URL, by POST with a form; return the last response after redirects."""
        for _ in range(_MAX_REDIRECTS):
            response = self._request(url, form)
            if response.status not in (302, 303):
                return url, response
            where = {name.lower(): value for name, value in response.headers.items()}["location"]
            url, form = urljoin(url, where), None
        raise AssertionError(f"too many redirects, the last to {url}")

    def log_in(self, url: str, user: str, password: str) -> tuple[str, HttpResponse]:
        """Open a protected page, fill in the login form that it leads to, and return the page."""
        ISSUED.add(password)
        place, page = self.open(url)
        form = _LoginForm(page.body.decode())
        assert form.has_password, (place, page)
        filled = {**form.fields, "username": user, "password": password}
        return self.open(urljoin(place, form.action), filled)

    def _request(self, url: str, form: dict[str, str] | None) -> HttpResponse:
        parts = urlsplit(url)
        headers = {"Host": parts.netloc, **_NAVIGATION}
        if self._cookies:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self._cookies.items())
        body = None
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Origin"] = f"{parts.scheme}://{parts.netloc}"
            body = urlencode(form)
        link = self._link()
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        try:
            link.request("POST" if form is not None else "GET", path, body, headers)
            raw = link.getresponse()
            for line in raw.headers.get_all("Set-Cookie", []):
                self._cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
            return answer_of(raw)
        finally:
            link.close()

    def _link(self) -> http.client.HTTPConnection:
        if not self._tls:
            return http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        # The certificate is a placeholder that signs itself.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection("127.0.0.1", self._port, timeout=10, context=context)
