"""Contradictions: reported together with invalid values, before them, and never by mistake."""

from pathlib import Path

import pytest

from tests.support.config import problems


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("cache: {port: 1, max_staleness: 50ms}", ["cache.port", "cache.max_staleness"]),
        ("cache: {port: x}", ["cache.port", "cache.port"]),
        ("cache: {url: nonsense, host: b}", ["cache.url", "cache.url"]),
        ("auth: {refresh_lifetime: 9999h, bogus: 1}", ["auth.refresh_lifetime", "auth.bogus"]),
        ("headers: {user: remote-groups, bogus: x}", ["headers", "headers.bogus"]),
        (
            "login: {url: 'https://a.test/login', cookie_domain: example.com, color: red}",
            ["login.url", "login.color"],
        ),
        (
            "login: {domains: [{cookie_domain: b.test, bogus: 1}, {url: nonsense}]}",
            ["login.domains[0].cookie_domain", "login.domains[0]", "login.domains[0].bogus",
             "login.domains[1].url"],
        ),
        (
            "server: {port: x}\ncache: {port: 1}\nauth: {secret_file: x}\n"
            "login: {cookie_domain: a.test}\nheaders: {user: Remote-Name}\nrules: []",
            ["cache.port", "auth.secret_file", "login.cookie_domain", "headers", "rules",
             "server.port"],
        ),
    ],
)  # fmt: skip  # rows of a table
def test_conflicts_and_invalid_values_are_reported_together(
    tmp_path: Path, text: str, keys: list[str]
) -> None:
    assert [message.split(": ")[1] for message in problems(tmp_path, text)] == keys


@pytest.mark.parametrize(
    "text",
    [
        "cache: {host: 'a b', port: 2, password_file: x}",
        "cache: {url: nonsense, password_file: x, ca_file: y}",
        "auth: {access_lifetime: 2h, refresh_lifetime: bogus}",
        "auth: {access_lifetime: bogus, refresh_lifetime: 5m}",
        "auth: {secret_file: x, algorithm: HS512}",
        "headers: {user: X_User, groups: Remote-User}",
        "login: {url: nonsense, cookie_domain: example.com}",
    ],
)
def test_an_invalid_value_contradicts_nothing(tmp_path: Path, text: str) -> None:
    (message,) = problems(tmp_path, text)
    assert "is " in message or "should be" in message
