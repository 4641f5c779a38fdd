"""Login pages with invalid or overlapping cookies, and rules that no session cookie reaches."""

from pathlib import Path

import pytest

from tests.support.config import loaded, problems


@pytest.mark.parametrize(
    "domain",
    [
        "co.uk", "com.au", "github.io", "duckdns.org", "home.arpa", "compute.amazonaws.com",
        "xn--55qx5d.cn", "foo.ck", "c.kobe.jp", "gov.uk", "s3.amazonaws.com", "nip.io",
    ],
)  # fmt: skip  # rows of a table
def test_public_suffix_is_refused(tmp_path: Path, domain: str) -> None:
    text = f"login:\n  url: https://auth.{domain}/login\n  cookie_domain: {domain}\n"
    if domain == "nip.io":
        # A shared domain that is not in the list of public suffixes, so it is accepted.
        assert loaded(tmp_path, text).settings.login.cookie_domain == domain
        return
    (message,) = problems(tmp_path, text)
    assert message.startswith(f"config.yml:3: login.cookie_domain: {domain} is a public suffix")
    assert f"such as example.{domain}" in message


@pytest.mark.parametrize(
    "domain",
    ["example.com", "example.co.uk", "me.github.io", "me.duckdns.org", "www.ck", "city.kobe.jp",
     "example.xn--55qx5d.cn", "home.lan", "example.localhost", "me.home.arpa", "corp.internal"],
)  # fmt: skip  # rows of a table
def test_registrable_domain_is_accepted(tmp_path: Path, domain: str) -> None:
    text = f"login: {{url: 'https://auth.{domain}/login', cookie_domain: {domain}}}"
    assert loaded(tmp_path, text).settings.login.cookie_domain == domain


@pytest.mark.parametrize("host", ["co.uk", "github.io", "auth", "192.168.1.5", "[2001:db8::1]"])
def test_host_cookie_needs_no_domain(tmp_path: Path, host: str) -> None:
    loaded(tmp_path, f"login: {{url: 'https://{host}/login'}}")


@pytest.mark.parametrize(
    ("url", "domain", "message"),
    [
        ("https://192.168.1.5/login", "192.168.1.5", "login.cookie_domain: is an IP address"),
        ("https://10.1/login", "10.1", "login.cookie_domain: is an IP address"),
        ("https://[::1]/login", "[::1]", "login.cookie_domain: is not a valid domain"),
        ("https://auth.lan/login", "lan", "login.cookie_domain: is not a valid domain"),
        ("https://auth.example.com/login", ".example.com", "without a leading dot"),
        (
            "https://auth.example.com/login",
            "Example.com",
            "login.cookie_domain: is not a valid domain",
        ),
        (
            "https://auth.example.com/login",
            "*.example.com",
            "login.cookie_domain: is not a valid domain",
        ),
        (
            "https://auth.example.com/login",
            "example.org",
            "is outside login.cookie_domain example.org",
        ),
        (
            "https://notexample.com/login",
            "example.com",
            "is outside login.cookie_domain example.com",
        ),
    ],
)
def test_invalid_cookie_domains(tmp_path: Path, url: str, domain: str, message: str) -> None:
    text = f"login: {{url: '{url}', cookie_domain: '{domain}'}}"
    assert message in "\n".join(problems(tmp_path, text))


@pytest.mark.parametrize(
    "url",
    [
        "http://auth.lan/login", "http://auth.example.com/login", "HTTP://auth.example.com/login",
        "http://192.168.1.5:8080/login", "http://auth/login", "http://[2001:db8::1]/login",
        "http://127.0.0.2/login", "http://localhost.example.com/login", "http://portal.lan/",
    ],
)  # fmt: skip  # rows of a table
def test_plain_http_is_refused(tmp_path: Path, url: str) -> None:
    (message,) = problems(tmp_path, f"login:\n  url: {url}\n")
    assert message.startswith(
        f"config.yml:2: login.url: {url} is not https, so that browsers discard"
    )


@pytest.mark.parametrize(
    "url",
    ["http://localhost:4000/login", "http://127.0.0.1:4000/login", "http://[::1]:4000/login",
     "http://auth.example.localhost:4000/login", "http://auth.localhost/login"],
)  # fmt: skip  # rows of a table
def test_plain_http_on_localhost_is_accepted(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, f"login: {{url: '{url}'}}").warnings == ()


def pages(*pairs: tuple[str, str | None]) -> str:
    entries = [
        f"    - {{url: 'https://{host}/login'{f', cookie_domain: {domain}' if domain else ''}}}"
        for host, domain in pairs
    ]
    return "login:\n  domains:\n" + "\n".join(entries)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (("a.test.com", None), ("a.test.com", None), "has the same host as login.domains[0]"),
        (("a.test.com", None), ("a.test.com:8443", None), "has the same host as login.domains[0]"),
        (("a.test.com", "test.com"), ("a.test.com", None), "has the same host as login.domains[0]"),
        (("a.test.com", "test.com"), ("b.test.com", "test.com"), "overlaps with test.com"),
        (("a.test.com", "test.com"), ("a.b.test.com", "b.test.com"), "overlaps with test.com"),
        (("a.b.test.com", "b.test.com"), ("a.test.com", "test.com"), "overlaps with b.test.com"),
    ],
)
def test_conflicting_pages_are_refused(
    tmp_path: Path, first: tuple[str, str | None], second: tuple[str, str | None], message: str
) -> None:
    (problem,) = problems(tmp_path, pages(first, second))
    assert problem.startswith("config.yml:4: login.domains[1]: ")
    assert message in problem


def test_pages_of_different_domains_are_accepted(tmp_path: Path) -> None:
    text = pages(
        ("auth.test.com", "test.com"), ("auth.nottest.com", "nottest.com"), ("auth.org", None)
    )
    assert loaded(tmp_path, text).warnings == ()


def test_warning_for_page_within_domain_of_another_page(tmp_path: Path) -> None:
    for text in (
        pages(("a.test.com", "test.com"), ("b.test.com", None)),
        pages(("b.test.com", None), ("a.test.com", "test.com")),
    ):
        (warning,) = loaded(tmp_path, text).warnings
        assert "the cookie of https://a.test.com/login reaches it too" in warning


@pytest.mark.parametrize(
    ("domain", "rule", "warned"),
    [
        ("example.com", "{host: app.example.com, allow: authenticated}", False),
        ("example.com", "{host: example.com, allow: authenticated}", False),
        ("example.com", "{host: '*.example.com', allow: authenticated}", False),
        ("example.com", "{host: '*.b.example.com', allow: 'group:x'}", False),
        ("example.com", "{host: app.other.lan, allow: 'group:x'}", True),
        ("example.com", "{host: '*.other.lan', allow: 'user:x'}", True),
        ("example.com", "{host: notexample.com, allow: authenticated}", True),
        ("example.com", "{host: app.other.lan, allow: anyone}", False),
        ("example.com", "{host: app.other.lan, allow: authenticated, credentials: bearer}", False),
        (
            "example.com",
            "{host: app.other.lan, allow: authenticated, credentials: [cookie, app-password]}",
            True,
        ),
        ("example.com", "{allow: authenticated}", False),
        ("", "{host: auth.example.com, allow: authenticated}", False),
        ("", "{host: app.example.com, allow: authenticated}", True),
        ("", "{host: '*.example.com', allow: authenticated}", True),
    ],
)
def test_warning_for_rules_that_no_cookie_reaches(
    tmp_path: Path, domain: str, rule: str, warned: bool
) -> None:
    cookie_domain = f", cookie_domain: {domain}" if domain else ""
    text = f"login: {{url: 'https://auth.example.com/login'{cookie_domain}}}\nrules:\n  - {rule}\n"
    warnings = loaded(tmp_path, text).warnings
    assert [*warnings] == [
        warning
        for warning in warnings
        if warning.startswith("config.yml:3: rules[0].host: browsers cannot")
    ]
    assert bool(warnings) == warned


def test_no_warning_without_login_page(tmp_path: Path) -> None:
    text = "rules: [{host: app.other.lan, allow: authenticated}]"
    assert loaded(tmp_path, text).warnings == ()
