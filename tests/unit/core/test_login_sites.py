"""Login sites and the scope of their cookies."""

import pytest

from authgw.config.login_schema import LoginPageSettings
from authgw.core.login_sites import LoginSite, LoginSites, is_plain_localhost, origin_of
from authgw.core.model import AccessRequest
from authgw.core.urls import location_from


def site(url: str, **settings: object) -> LoginSite:
    parsed = LoginPageSettings.model_validate({"url": url, **settings}).site
    assert parsed is not None
    return parsed


COM = site("https://auth.example.com/login", cookie_domain="example.com")
ORG = site("https://auth.example.org:8443/sso/login", cookie_domain="example.org")
ONE = site("https://app.example.net/login")
LOCAL = site("http://localhost:4000/login")


@pytest.mark.parametrize(
    ("page", "origin", "base", "root", "cookie", "helper"),
    [
        (COM, "https://auth.example.com", "/login", "", "__Secure-authgw", "__Secure-authgw-csrf"),
        (
            ORG,
            "https://auth.example.org:8443",
            "/sso/login",
            "/sso",
            "__Secure-authgw",
            "__Secure-authgw-csrf",
        ),
        (ONE, "https://app.example.net", "/login", "", "__Host-authgw", "__Secure-authgw-csrf"),
        (LOCAL, "http://localhost:4000", "/login", "", "authgw", "authgw-csrf"),
    ],
)
def test_origins_paths_and_cookie_names(
    page: LoginSite, origin: str, base: str, root: str, cookie: str, helper: str
) -> None:
    assert (page.origin, page.base, page.root) == (origin, base, root)
    assert (page.session_cookie, page.helper_cookie("csrf")) == (cookie, helper)
    assert f"https://{page.authority}" == origin.replace("http://", "https://")


@pytest.mark.parametrize(
    ("host", "covered"),
    [
        ("auth.example.com", True),
        ("example.com", True),
        ("a.b.example.com", True),
        ("evilexample.com", False),
        ("example.com.evil.net", False),
        ("example.org", False),
    ],
)
def test_a_cookie_domain_covers_its_subdomains(host: str, covered: bool) -> None:
    assert COM.covers(host) is covered


def test_a_site_without_a_domain_covers_its_host_only() -> None:
    assert ONE.covers("app.example.net")
    assert not ONE.covers("b.app.example.net")


def test_each_host_has_its_site() -> None:
    sites = LoginSites((COM, ORG))
    assert sites.covering("wiki.example.org") is ORG
    assert sites.covering("wiki.example.com") is COM
    assert sites.covering("elsewhere.test") is COM
    assert sites.serving("auth.example.org") is ORG
    assert sites.serving("wiki.example.org") is None
    assert sites.domains_of("auth.example.com") == ("example.com",)
    assert LoginSites().covering("example.com") is None
    assert LoginSites().serving("example.com") is None
    assert LoginSites((COM, LOCAL)).session_cookies == {"__Secure-authgw", "authgw"}


def test_cookie_names_accepted_on_a_host() -> None:
    sites = LoginSites((COM, ONE))
    assert sites.cookies_reaching(ONE.host) == {"__Host-authgw"}
    assert sites.cookies_reaching("wiki.example.com") == {"__Secure-authgw"}
    assert sites.cookies_reaching("elsewhere.test") == {"__Host-authgw", "__Secure-authgw"}
    assert LoginSites().cookies_reaching("example.com") == set()


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.test:443/x", "https://a.test"),
        ("http://a.test:80/x", "http://a.test"),
        ("http://a.test:443/x", "http://a.test:443"),
        ("http://[::1]:8080/x", "http://[::1]:8080"),
    ],
)
def test_an_origin_omits_the_default_port(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("http://localhost:4000/login", True),
        ("http://127.0.0.1/login", True),
        ("http://[::1]/login", True),
        ("https://localhost/login", False),
        ("http://app.localhost/login", False),
        ("http://localhost.evil.test/login", False),
    ],
)
def test_plain_localhost(url: str, plain: bool) -> None:
    assert is_plain_localhost(url) is plain


def test_a_login_page_of_the_operator() -> None:
    own = site("https://portal.example.com/welcome")
    assert not own.is_ours
    assert (own.base, own.root) == ("/login", "")


def test_default_redirect() -> None:
    assert COM.redirects.default == "https://auth.example.com/login/account"
    assert COM.home == ""
    there = site("https://auth.example.com/login", default_redirect="https://app.example.com/")
    assert there.redirects.default == there.home == "https://app.example.com/"


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        ("http://app.example.com/a?b", "https://app.example.com/a?b"),
        ("http://app.example.com:80/a", "https://app.example.com/a"),
        ("http://app.example.com:8443/a", "https://app.example.com:8443/a"),
        ("http://example.com/", "https://example.com/"),
        ("https://app.example.com:8443/a", "https://app.example.com:8443/a"),
        ("https://app.example.com:80/a", "https://app.example.com:80/a"),
        ("http://app.example.net/", "https://app.example.net/"),
        # No Secure cookie of a login site is sent to these hosts.
        ("http://other.example.net/", "http://other.example.net/"),
        ("http://localhost/", "http://localhost/"),
    ],
)
def test_hosts_of_secure_cookies_use_https(url: str, reached: str) -> None:
    sites = LoginSites((COM, ORG, ONE, LOCAL))
    scheme, _, rest = url.partition("://")
    authority, slash, target = rest.partition("/")
    access = AccessRequest("GET", location_from(scheme, authority, slash + target), "")
    result = sites.with_public_scheme(access)
    assert result.location.url == reached
    assert (result.location.host, result.method) == (access.location.host, "GET")
    assert LoginSites().with_public_scheme(access) is access


@pytest.mark.parametrize("page", [COM, ORG, ONE])
def test_no_sibling_can_plant_the_cookie_of_a_flow(page: LoginSite) -> None:
    """`__Host-` also where the session cookie is for a whole domain (RFC 6265bis 4.1.3.2)."""
    assert page.flow_cookie("x1") == "__Host-authgw-flow-x1"
    assert LOCAL.flow_cookie("x1") == "authgw-flow-x1"
