"""Login sites: a login page for each root domain, and the cookies that it sets.

Browsers enforce the prefix of a cookie's name (RFC 6265bis section 4.1.3): `__Host-` limits it to
a single host, `__Secure-` to a domain. Without https only `localhost` is supported.
"""

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from authgw.core.model import AccessRequest
from authgw.core.redirects import Redirects

_NAME = "authgw"


@dataclass(frozen=True, slots=True)
class LoginSite:
    """A login site; `url` is the public URL of its page, `cookie_domain` None means its host only.

    `home` is the URL that a login leads to by default, if the operator configured it.
    """

    url: str
    cookie_domain: str | None
    redirects: Redirects
    home: str = ""

    @property
    def host(self) -> str:
        """Host of the login page."""
        return host_of(self.url)

    @property
    def authority(self) -> str:
        """Host and port of the login page, as in a browser's Host header."""
        return self.origin.partition("://")[2]

    @property
    def origin(self) -> str:
        """Origin of the login page, as in a browser's Origin header (RFC 6454 section 6.1)."""
        return origin_of(self.url)

    @property
    def base(self) -> str:
        """Path of the login page, below which the other pages are."""
        return urlsplit(self.url).path if self.is_ours else "/login"

    @property
    def is_ours(self) -> bool:
        """Return True if the URL is a page of this gateway, False for a page of the operator."""
        return urlsplit(self.url).path.endswith("/login")

    @property
    def root(self) -> str:
        """Path below which the gateway is reachable: the part before `/login`."""
        return self.base.removesuffix("/login")

    @property
    def secure(self) -> bool:
        """Return True if cookies are Secure: always, except on http://localhost."""
        return not is_plain_localhost(self.url)

    @property
    def session_cookie(self) -> str:
        """Name of the session cookie."""
        if not self.secure:
            return _NAME
        return f"__Secure-{_NAME}" if self.cookie_domain else f"__Host-{_NAME}"

    def helper_cookie(self, purpose: str) -> str:
        """Return the name of a cookie for the login pages only; its Path withholds it from apps."""
        return f"__Secure-{_NAME}-{purpose}" if self.secure else f"{_NAME}-{purpose}"

    def flow_cookie(self, suffix: str) -> str:
        """Return the name of the cookie of a login at an identity provider.

        `__Host-` keeps a sibling domain from planting a flow of its own, which would log the user
        in with another account.
        """
        return f"__Host-{_NAME}-flow-{suffix}" if self.secure else f"{_NAME}-flow-{suffix}"

    def covers(self, host: str) -> bool:
        """Return True if the session cookie of this site is sent to this canonical host."""
        domain = self.cookie_domain
        return host == self.host or (
            domain is not None and (host == domain or host.endswith(f".{domain}"))
        )


@dataclass(frozen=True, slots=True)
class LoginSites:
    """All login sites; without a site, browsers cannot log in."""

    all: tuple[LoginSite, ...] = ()

    def serving(self, host: str) -> LoginSite | None:
        """Return the login site with this canonical host, or None."""
        return next((site for site in self.all if site.host == host), None)

    def covering(self, host: str) -> LoginSite | None:
        """Return the login site whose cookie is sent to this canonical host, else the first."""
        covering = (site for site in self.all if site.covers(host))
        return next(covering, self.all[0] if self.all else None)

    def with_public_scheme(self, access: AccessRequest) -> AccessRequest:
        """Return the request with the scheme that the browser uses.

        The browser uses https for a host that a Secure cookie covers, even if the proxy received
        the request by http, because TLS was terminated in front of the proxy.
        """
        location = access.location
        site = self.covering(location.host) if location.scheme == "http" else None
        if site is None or urlsplit(site.url).scheme != "https" or not site.covers(location.host):
            return access
        port = "" if location.port.removeprefix(":").lstrip("0") == "80" else location.port
        return replace(access, location=replace(location, scheme="https", port=port))

    def cookies_reaching(self, host: str) -> frozenset[str]:
        """Return the names of session cookies that are accepted on this canonical host.

        The name implies the scope of the cookie: the name of a domain's cookie proves nothing on
        the host of a site with a host-only cookie, because any sibling domain can set it.
        """
        covering = [site for site in self.all if site.covers(host)] or self.all
        return frozenset(site.session_cookie for site in covering)

    def domains_of(self, host: str) -> tuple[str, ...]:
        """Return the cookie domains at or above this canonical host, without duplicates."""
        domains = dict.fromkeys(site.cookie_domain for site in self.all)
        return tuple(
            domain
            for domain in domains
            if domain and (host == domain or host.endswith(f".{domain}"))
        )

    @property
    def session_cookies(self) -> frozenset[str]:
        """Names of the session cookies of all sites."""
        return frozenset(site.session_cookie for site in self.all)


def origin_of(url: str) -> str:
    """Return scheme, host and port of an http(s) URL, without the scheme's default port."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}[parts.scheme]
    port = f":{parts.port}" if parts.port not in (None, default) else ""
    return f"{parts.scheme}://{host_of(url)}{port}"


def host_of(url: str) -> str:
    """Return the host of an http(s) URL, an IPv6 address in brackets."""
    host = urlsplit(url).hostname or ""
    return f"[{host}]" if ":" in host else host


def is_plain_localhost(url: str) -> bool:
    """Return True if the URL is http on this machine, which has no certificate.

    Browsers store Secure cookies of `NAME.localhost` over http, but not those of `localhost` or
    its addresses.
    """
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
