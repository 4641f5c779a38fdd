"""Answers of `authgw init`: each mistake has a message that says what to write."""

from collections.abc import Callable
from typing import Any

import pytest

from authgw.setup.answers import (
    DEFAULT_STORE,
    AnswerError,
    Answers,
    ProtectedApp,
    PublicDomain,
    contradictions,
    parse_app,
    parse_domain,
    parse_store,
    parse_user,
)

EXAMPLE = PublicDomain("example.com")


def refusal(parse: Callable[[str], Any], text: str) -> str:
    with pytest.raises(AnswerError) as error:
        parse(text)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.com", EXAMPLE),
        (" Example.COM ", EXAMPLE),
        ("example.com.", EXAMPLE),
        ("home.example.co.uk", PublicDomain("home.example.co.uk")),
        ("bücher.example", PublicDomain("xn--bcher-kva.example")),
        ("localhost", PublicDomain("localhost", 4000)),
        ("localhost:80", PublicDomain("localhost", 80)),
        ("example.localhost:8000", PublicDomain("example.localhost", 8000)),
    ],
)
def test_domains(text: str, expected: PublicDomain) -> None:
    assert parse_domain(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://example.com/", "leave out https:// and write the domain alone: example.com"),
        ("*.example.com", "is a wildcard: write example.com, and each protected host by --protect"),
        ("10.0.0.7", "10.0.0.7 is an address, for which browsers share no login: write a domain"),
        ("127.0.0.1:4000", "is an address"),
        ("[::1]", "is an address"),
        ("::1", "is an address"),
        ("example.com:8443", "leave out the port: https://auth.example.com has port 443"),
        ("intranet", "intranet has no dot: write your domain, such as intranet.com, or localhost"),
        ("com", "has no dot"),
        ("co.uk", "co.uk is a public suffix, under which everybody may register: write your own"),
        ("github.io", "such as example.github.io"),
        ("exa mple.com", "'exa mple.com' is not a domain: write it as in example.com"),
        ("example..com", "is not a domain"),
        ("", "'' is not a domain"),
        ("localhost:0", "localhost:0: 0 is not a port from 1 to 65535"),
        ("localhost:http", "http is not a port"),
        ("localhost:", "an empty text is not a port"),
    ],
)
def test_a_wrong_domain_is_refused_with_a_remedy(text: str, message: str) -> None:
    assert message in refusal(parse_domain, text)


@pytest.mark.parametrize(
    ("domain", "login", "cookie", "app"),
    [
        (EXAMPLE, "https://auth.example.com/login", "example.com", "https://app.example.com/"),
        (
            PublicDomain("example.localhost", 4000),
            "http://auth.example.localhost:4000/login",
            "example.localhost",
            "http://app.example.com:4000/",
        ),
        (PublicDomain("localhost", 80), "http://localhost/login", None, "http://app.example.com/"),
    ],
)
def test_urls_of_a_domain(domain: PublicDomain, login: str, cookie: str | None, app: str) -> None:
    assert (domain.login_url, domain.cookie_domain) == (login, cookie)
    assert domain.url_of("app.example.com") == app


@pytest.mark.parametrize(
    ("text", "host", "upstream"),
    [
        ("app.example.com=127.0.0.1:3000", "app.example.com", "127.0.0.1:3000"),
        ("App.Example.com = 127.0.0.1:3000", "app.example.com", "127.0.0.1:3000"),
        ("app.example.com=http://10.0.0.5:80/", "app.example.com", "10.0.0.5:80"),
        ("app.example.com=[::1]:3000", "app.example.com", "[::1]:3000"),
        ("app.example.com=grafana:3000", "app.example.com", "grafana:3000"),
    ],
)
def test_apps(text: str, host: str, upstream: str) -> None:
    app = parse_app(text)
    assert (app.host, app.upstream) == (host, upstream)
    assert app.has_address is ("grafana" not in upstream)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("app.example.com", "does not say where the app is: write app.example.com=127.0.0.1:3000"),
        (
            "app.example.com=127.0.0.1",
            "127.0.0.1 has no port: write app.example.com=127.0.0.1:3000",
        ),
        ("app.example.com=", "has no port: write app.example.com=127.0.0.1:3000"),
        ("app.example.com=[::1]", "[::1] has no port: write app.example.com=[::1]:3000"),
        ("app.example.com=::1:3000", "write an IPv6 address in brackets, such as [::1]:3000"),
        ("app.example.com=[::g]:3000", "[::g] is not an IPv6 address"),
        ("app.example.com=127.0.0.1:70000", "70000 is not a port from 1 to 65535"),
        ("app.example.com=127.0.0.1:03000", "03000 is not a port"),
        ("app.example.com=127.0.0.1:3000/x", "has a path: write the address and port alone"),
        ("app.example.com=https://127.0.0.1:3000", "the proxy is set up to reach the app by http"),
        ("app.example.com=a b:3000", "'a b' is not the address of an app"),
        ("*.example.com=127.0.0.1:3000", "is a wildcard: write a --protect for each host"),
        ("https://app.example.com=127.0.0.1:3000", "is a URL: write the host alone"),
        ("app.example.com:443=127.0.0.1:3000", "has a port: write the host alone"),
        ("a_ b.com=127.0.0.1:3000", "is not a host"),
    ],
)
def test_a_wrong_app_is_refused_with_a_remedy(text: str, message: str) -> None:
    assert message in refusal(parse_app, text)


@pytest.mark.parametrize(
    ("text", "url", "password"),
    [
        ("sqlite", DEFAULT_STORE, ""),
        ("embedded:///data/a.db", "embedded:///data/a.db", ""),
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0", ""),
        ("redis://:s%40cret@redis", "redis://redis", "s@cret"),
        ("rediss://me%40:pw@redis:6380/1", "rediss://me%40@redis:6380/1", "pw"),
        (
            "redis+sentinel://a:26379,b:26379/main",
            "redis+sentinel://a:26379,b:26379/main",
            "",
        ),
    ],
)
def test_stores(text: str, url: str, password: str) -> None:
    store = parse_store(text)
    assert (store.url, store.password) == (url, password)
    assert not password or password not in repr(store)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("postgres://db", "postgres://db is not the URL of a store"),
        ("redis://", "has a server without a host"),
        ("redis://:hidden@redis:0/0", "has a port of redis that is not from 1 to 65535"),
        ("redis://redis/zero", "has a database that is not a number"),
        ("redis+cluster://a/1", "names a database"),
        ("redis", "is not the URL of a store"),
        ("embedded://x", "has no name of a file"),
    ],
)
def test_a_wrong_store_is_refused_with_a_remedy(text: str, message: str) -> None:
    said = refusal(parse_store, text)
    assert message in said
    assert "hidden" not in said
    assert said.endswith("or sqlite for a file")


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "is empty"), ("a:b", "contains `:`"), (" a", "begins or ends with a space")],
)
def test_a_wrong_user_name_is_refused(text: str, message: str) -> None:
    said = refusal(parse_user, text)
    assert said.startswith("a user name ")
    assert message in said
    assert parse_user("Zoë Ünal") == "Zoë Ünal"


def answers(
    *hosts: str, domain: PublicDomain = EXAMPLE, upstream: int = 3000, **more: Any
) -> Answers:
    apps = tuple(ProtectedApp(host, "127.0.0.1", upstream) for host in hosts)
    return Answers("nginx", domain, apps, **more)


LOCALHOST = PublicDomain("localhost", 4000)


@pytest.mark.parametrize(
    ("given", "option", "message"),
    [
        (answers("app.other.com"), "--protect", "app.other.com is not below example.com"),
        (answers("notexample.com"), "--protect", "is not below example.com"),
        (
            answers("app.localhost", domain=LOCALHOST),
            "--protect",
            "for several apps --domain example.localhost",
        ),
        (answers("auth.example.com"), "--protect", "is the host of the login pages"),
        (answers("a.example.com", "a.example.com"), "--protect", "is given more than once"),
        (answers("a.example.com", upstream=8080), "--protect", "the address of the gateway itself"),
        (
            answers("localhost", domain=LOCALHOST, upstream=4000),
            "--protect",
            "the address of the proxy itself",
        ),
        (answers("a.example.com", port=9090), "--port", "is the port of the gateway's metrics"),
        (answers("localhost", domain=LOCALHOST, port=4000), "--port", "is the port of the proxy"),
    ],
)
def test_answers_that_contradict_each_other(given: Answers, option: str, message: str) -> None:
    ((found, said),) = contradictions(given)
    assert found == option
    assert message in said


@pytest.mark.parametrize(
    "given",
    [
        answers("example.com", "a.example.com", "b.a.example.com"),
        answers("localhost", domain=LOCALHOST),
        answers("app.example.localhost", domain=PublicDomain("example.localhost", 4000)),
    ],
)
def test_answers_without_a_contradiction(given: Answers) -> None:
    assert list(contradictions(given)) == []
