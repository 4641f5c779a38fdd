"""Login pages whose cookie browsers refuse stop the start; rules out of their reach are named."""

from pathlib import Path

import pytest

from tests.support.config import loaded, problems


@pytest.mark.parametrize(
    "domain",
    [
        "co.uk", "com.au", "github.io", "duckdns.org", "home.arpa", "compute.amazonaws.com",
        "xn--55qx5d.cn", "foo.ck", "c.kobe.jp", "gov.uk", "s3.amazonaws.com", "nip.io",
    ],
)  # fmt: skip
def test_a_public_suffix_is_refused(tmp_path: Path, domain: str) -> None:
    text = f"login:\n  url: https://auth.{domain}/login\n  cookie_domain: {domain}\n"
    if domain == "nip.io":
        # A service that anybody uses, and that the list does not know: nothing to go by.
        assert loaded(tmp_path, text).settings.login.cookie_domain == domain
        return
    (said,) = problems(tmp_path, text)
    assert said.startswith(f"config.yml:3: login.cookie_domain: {domain} is a public suffix")
    assert f"such as example.{domain}" in said


@pytest.mark.parametrize(
    "domain",
    ["example.com", "example.co.uk", "me.github.io", "me.duckdns.org", "www.ck", "city.kobe.jp",
     "example.xn--55qx5d.cn", "home.lan", "example.localhost", "me.home.arpa", "corp.internal"],
)  # fmt: skip
def test_a_domain_of_ones_own_is_taken(tmp_path: Path, domain: str) -> None:
    text = f"login: {{url: 'https://auth.{domain}/login', cookie_domain: {domain}}}"
    assert loaded(tmp_path, text).settings.login.cookie_domain == domain


@pytest.mark.parametrize("host", ["co.uk", "github.io", "auth", "192.168.1.5", "[2001:db8::1]"])
def test_a_cookie_for_one_host_needs_no_domain(tmp_path: Path, host: str) -> None:
    loaded(tmp_path, f"login: {{url: 'https://{host}/login'}}")


@pytest.mark.parametrize(
    ("url", "domain", "said"),
    [
        ("https://192.168.1.5/login", "192.168.1.5", "login.cookie_domain: is an address"),
        ("https://10.1/login", "10.1", "login.cookie_domain: is an address"),
        ("https://[::1]/login", "[::1]", "login.cookie_domain: is no domain"),
        ("https://auth.lan/login", "lan", "login.cookie_domain: is no domain"),
        ("https://auth.example.com/login", ".example.com", "without a dot in front"),
        ("https://auth.example.com/login", "Example.com", "login.cookie_domain: is no domain"),
        ("https://auth.example.com/login", "*.example.com", "login.cookie_domain: is no domain"),
        ("https://auth.example.com/login", "example.org", "is outside cookie_domain example.org"),
        ("https://notexample.com/login", "example.com", "is outside cookie_domain example.com"),
    ],
)
def test_what_no_cookie_has_as_its_domain(tmp_path: Path, url: str, domain: str, said: str) -> None:
    text = f"login: {{url: '{url}', cookie_domain: '{domain}'}}"
    assert said in "\n".join(problems(tmp_path, text))


@pytest.mark.parametrize(
    "url",
    [
        "http://auth.lan/login", "http://auth.example.com/login", "HTTP://auth.example.com/login",
        "http://192.168.1.5:8080/login", "http://auth/login", "http://[2001:db8::1]/login",
        "http://127.0.0.2/login", "http://localhost.example.com/login", "http://portal.lan/",
    ],
)  # fmt: skip
def test_plain_http_is_refused(tmp_path: Path, url: str) -> None:
    (said,) = problems(tmp_path, f"login:\n  url: {url}\n")
    assert said.startswith(f"config.yml:2: login.url: {url} is not https: browsers will discard")


@pytest.mark.parametrize(
    "url",
    ["http://localhost:4000/login", "http://127.0.0.1:4000/login", "http://[::1]:4000/login",
     "http://auth.example.localhost:4000/login", "http://auth.localhost/login"],
)  # fmt: skip
def test_plain_http_on_this_machine_is_taken(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, f"login: {{url: '{url}'}}").warnings == ()


def pages(*pairs: tuple[str, str | None]) -> str:
    entries = [
        f"    - {{url: 'https://{host}/login'{f', cookie_domain: {domain}' if domain else ''}}}"
        for host, domain in pairs
    ]
    return "login:\n  domains:\n" + "\n".join(entries)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (("a.test.com", None), ("a.test.com", None), "has the host of login.domains.0"),
        (("a.test.com", None), ("a.test.com:8443", None), "has the host of login.domains.0"),
        (("a.test.com", "test.com"), ("a.test.com", None), "has the host of login.domains.0"),
        (("a.test.com", "test.com"), ("b.test.com", "test.com"), "overlaps with test.com"),
        (("a.test.com", "test.com"), ("a.b.test.com", "b.test.com"), "overlaps with test.com"),
        (("a.b.test.com", "b.test.com"), ("a.test.com", "test.com"), "overlaps with b.test.com"),
    ],
)
def test_pages_that_get_into_each_others_way(
    tmp_path: Path, first: tuple[str, str | None], second: tuple[str, str | None], said: str
) -> None:
    (found,) = problems(tmp_path, pages(first, second))
    assert found.startswith("config.yml:4: login.domains.1: ")
    assert said in found


def test_pages_of_different_domains_stand_side_by_side(tmp_path: Path) -> None:
    text = pages(
        ("auth.test.com", "test.com"), ("auth.nottest.com", "nottest.com"), ("auth.org", None)
    )
    assert loaded(tmp_path, text).warnings == ()


def test_a_page_for_one_host_below_another_pages_domain_is_warned_of(tmp_path: Path) -> None:
    for text in (
        pages(("a.test.com", "test.com"), ("b.test.com", None)),
        pages(("b.test.com", None), ("a.test.com", "test.com")),
    ):
        (warning,) = loaded(tmp_path, text).warnings
        assert "the cookie of https://a.test.com/login reaches this host too" in warning


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
def test_rules_that_no_login_reaches_are_warned_of(
    tmp_path: Path, domain: str, rule: str, warned: bool
) -> None:
    reach = f", cookie_domain: {domain}" if domain else ""
    text = f"login: {{url: 'https://auth.example.com/login'{reach}}}\nrules:\n  - {rule}\n"
    warnings = loaded(tmp_path, text).warnings
    assert [*warnings] == [one for one in warnings if one.startswith("config.yml:3: rules[0] is")]
    assert bool(warnings) == warned


def test_without_a_login_page_rules_are_for_programs(tmp_path: Path) -> None:
    text = "rules: [{host: app.other.lan, allow: authenticated}]"
    assert loaded(tmp_path, text).warnings == ()
