"""Where browsers log in: one log-in page for each root domain, and the cookies that it sets.

A cookie's prefix makes the browser hold what its name promises (RFC 6265bis section 4.1.3):
`__Host-` is for one host alone, `__Secure-` for a domain. Without https only `localhost` counts.
"""

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from authgw.core.model import AccessRequest
from authgw.core.redirects import Redirects

_NAME = "authgw"


@dataclass(frozen=True, slots=True)
class LoginSite:
    """One log-in page; `url` is its public address, `cookie_domain` None means its host alone.

    `home` is where a person goes on to, if the operator named a place.
    """

    url: str
    cookie_domain: str | None
    redirects: Redirects
    home: str = ""

    @property
    def host(self) -> str:
        """The host of the log-in page."""
        return host_of(self.url)

    @property
    def authority(self) -> str:
        """Host and port of the login page, as a browser's Host header has them."""
        return self.origin.partition("://")[2]

    @property
    def origin(self) -> str:
        """What a browser calls the page's Origin (RFC 6454 section 6.1)."""
        return origin_of(self.url)

    @property
    def base(self) -> str:
        """The path of the log-in page, below which the other pages are."""
        return urlsplit(self.url).path if self.is_ours else "/login"

    @property
    def is_ours(self) -> bool:
        """Whether the address is this gateway's page, or one of the operator's own."""
        return urlsplit(self.url).path.endswith("/login")

    @property
    def root(self) -> str:
        """The path below which the gateway is reached: what stands before `/login`."""
        return self.base.removesuffix("/login")

    @property
    def secure(self) -> bool:
        """Whether cookies are Secure: always, but on http://localhost."""
        return not is_plain_localhost(self.url)

    @property
    def session_cookie(self) -> str:
        """The name of the session cookie."""
        if not self.secure:
            return _NAME
        return f"__Secure-{_NAME}" if self.cookie_domain else f"__Host-{_NAME}"

    def helper_cookie(self, purpose: str) -> str:
        """The name of a cookie that only the log-in pages read; its Path keeps it from apps."""
        return f"__Secure-{_NAME}-{purpose}" if self.secure else f"{_NAME}-{purpose}"

    def covers(self, host: str) -> bool:
        """Whether the session cookie of this page reaches this canonical host."""
        domain = self.cookie_domain
        return host == self.host or (
            domain is not None and (host == domain or host.endswith(f".{domain}"))
        )


@dataclass(frozen=True, slots=True)
class LoginSites:
    """Every log-in page; none means that browsers do not log in here."""

    all: tuple[LoginSite, ...] = ()

    def serving(self, host: str) -> LoginSite | None:
        """Return the login page that is shown on this canonical host."""
        return next((site for site in self.all if site.host == host), None)

    def covering(self, host: str) -> LoginSite | None:
        """The log-in page whose cookie reaches this canonical host, else the first."""
        near = (site for site in self.all if site.covers(host))
        return next(near, self.all[0] if self.all else None)

    def reached(self, access: AccessRequest) -> AccessRequest:
        """Return a request with its location as a browser reaches it.

        A host that a Secure cookie covers is reached by https, even if the proxy in front of this
        gateway was reached by http, because TLS ends before it.
        """
        location = access.location
        page = self.covering(location.host) if location.scheme == "http" else None
        if page is None or urlsplit(page.url).scheme != "https" or not page.covers(location.host):
            return access
        port = "" if location.port.removeprefix(":").lstrip("0") == "80" else location.port
        return replace(access, location=replace(location, scheme="https", port=port))

    def cookies_reaching(self, host: str) -> frozenset[str]:
        """The names under which a session may come to this canonical host.

        A name says how far its cookie reaches: that of a page for a whole domain proves nothing on
        the host of one that is for its host alone, where any sibling domain can set it.
        """
        near = [site for site in self.all if site.covers(host)] or self.all
        return frozenset(site.session_cookie for site in near)

    def domains_of(self, host: str) -> tuple[str, ...]:
        """Return the cookie domains at or above this canonical host, each once."""
        domains = dict.fromkeys(site.cookie_domain for site in self.all)
        above = (one for one in domains if one and (host == one or host.endswith(f".{one}")))
        return tuple(above)

    @property
    def session_cookies(self) -> frozenset[str]:
        """The names under which a session may come."""
        return frozenset(site.session_cookie for site in self.all)


def origin_of(url: str) -> str:
    """Scheme, host and port of an http(s) URL, without the scheme's own port."""
    parts = urlsplit(url)
    own = {"http": 80, "https": 443}[parts.scheme]
    port = f":{parts.port}" if parts.port not in (None, own) else ""
    return f"{parts.scheme}://{host_of(url)}{port}"


def host_of(url: str) -> str:
    """The host of an http(s) URL, an IPv6 address in brackets."""
    host = urlsplit(url).hostname or ""
    return f"[{host}]" if ":" in host else host


def is_plain_localhost(url: str) -> bool:
    """Whether this is http on this very machine, where nobody has a certificate.

    Browsers keep Secure cookies of `NAME.localhost` over http, but not of `localhost`'s
    addresses.
    """
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
