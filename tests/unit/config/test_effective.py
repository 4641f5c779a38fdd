"""`authgw config show`: every key with its value and source, and no password."""

from pathlib import Path
from typing import Any

import pytest

from authgw.config.effective import DEFAULT, EffectiveValue, effective_values, mask_password
from authgw.config.environment import known_variables
from authgw.config.loader import load
from authgw.config.values import format_duration, parse_duration

CONFIG = """\
server:
  port: 9000
  trusted_proxies: [10.0.0.1, "::1"]
auth: {access_lifetime: 90s}
login:
  domains:
    - {url: https://auth.example.com/login, cookie_domain: example.com}
rules:
  - {host: app.example.com, from: 10.0.0.0/8, allow: authenticated}
  - {allow: "group:admins"}
"""


def effective(tmp_path: Path, config: str = CONFIG, **environ: str) -> dict[str, EffectiveValue]:
    (tmp_path / "config.yml").write_text(config)
    loaded = load(tmp_path / "config.yml", environ)
    return {row.key: row for row in effective_values(loaded.settings, loaded.origins)}


@pytest.mark.parametrize(
    ("key", "value", "source"),
    [
        ("server.host", "127.0.0.1", DEFAULT),
        ("server.port", 9000, "config.yml:2"),
        ("server.trusted_proxies", ["10.0.0.1", "::1"], "config.yml:3"),
        ("auth.access_lifetime", "90s", "config.yml:4"),
        ("auth.refresh_lifetime", "720h", DEFAULT),
        ("auth.passwords.min_length", 12, "AUTHGW_AUTH__PASSWORDS__MIN_LENGTH"),
        ("headers.user", "X-User", "AUTHGW_HEADERS:1"),
        ("cache.url", "embedded:///var/authgw.db", DEFAULT),
        (
            "login.domains.0",
            {"url": "https://auth.example.com/login", "cookie_domain": "example.com"},
            "config.yml:7",
        ),
        (
            "rules.0",
            {"allow": ["authenticated"], "host": "app.example.com", "from": ["10.0.0.0/8"]},
            "config.yml:9",
        ),
        ("rules.1", {"allow": ["group:admins"]}, "config.yml:10"),
    ],
)
def test_values_and_sources(tmp_path: Path, key: str, value: Any, source: str) -> None:
    rows = effective(
        tmp_path,
        AUTHGW_AUTH__PASSWORDS__MIN_LENGTH="12",
        AUTHGW_HEADERS="{user: X-User}",
    )
    assert rows[key] == EffectiveValue(key, value, source)


def test_every_key_is_shown(tmp_path: Path) -> None:
    variables = {".".join(each.path) for each in known_variables().values()}
    shown = set(effective(tmp_path, ""))
    assert {key for key in variables if f"{key}." not in " ".join(sorted(variables))} <= shown
    assert {"login.domains", "rules"} <= shown


@pytest.mark.parametrize(
    ("config", "url", "source"),
    [
        ("cache: {host: redis, port: 6380}", "redis://redis:6380/0", "config.yml:1"),
        ("cache: {url: 'redis://me:hidden@redis'}", "redis://me:********@redis", "config.yml:1"),
        ("cache: {port: 6379, host: redis}", "redis://redis:6379/0", "config.yml:1"),
    ],
)
def test_the_url_of_the_store(tmp_path: Path, config: str, url: str, source: str) -> None:
    row = effective(tmp_path, config)["cache.url"]
    assert (row.value, row.source) == (url, source)


def test_a_secret_of_a_file_is_masked(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://:hidden@redis")
    (tmp_path / "url").chmod(0o600)
    row = effective(tmp_path, "", AUTHGW_CACHE__URL_FILE="url")["cache.url"]
    assert (row.value, row.source) == ("redis://:********@redis", "AUTHGW_CACHE__URL_FILE")


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://user@h", "redis://user@h"),
        ("redis://u:p@ss/w@h", "redis://u:********@h"),
        ("embedded:///a@b:c", "embedded:///a@b:c"),
    ],
)
def test_passwords_are_masked(url: str, masked: str) -> None:
    assert mask_password(url) == masked


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0"), (0.1, "100ms"), (90.0, "90s"), (900.0, "15m"), (86400.0, "24h"), (1.5, "1500ms")],
)
def test_durations_are_written_as_they_are_read(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
    assert parse_duration(text) == seconds
