"""The loader: valid configurations, and the message for every mistake."""

from pathlib import Path

import pytest

from authgw.config.loader import ConfigError, load
from authgw.config.values import parse_duration
from tests.support.config import loaded, problems

PREDECESSOR = """\
server:
  port: 8080
  max_processors: 2

logging:
  mode: text # text or json
  level: debug

cache:
  host: cache
  port: 6379

auth:
  issuer: jwt-microservice
  access_lifetime: 15m
  refresh_lifetime: 720h
  auto_logout: 24h
  passwords:
    min_length: 8
"""


def test_configuration_of_predecessor_is_compatible(tmp_path: Path) -> None:
    config = loaded(tmp_path, PREDECESSOR)
    settings = config.settings
    assert settings.server.port == 8080
    assert (settings.logging.mode, settings.logging.level) == ("text", "debug")
    assert settings.cache.address == "redis://cache:6379/0"
    assert settings.auth.issuer == "jwt-microservice"
    assert settings.auth.access_lifetime == 15 * 60
    assert settings.auth.refresh_lifetime == 720 * 3600
    assert settings.auth.auto_logout == 24 * 3600
    assert settings.auth.passwords.min_length == 8
    assert len(config.warnings) == 1
    assert "config.yml:3: server.max_processors" in config.warnings[0]


def test_all_problems_are_reported_with_lines(tmp_path: Path) -> None:
    messages = problems(
        tmp_path,
        "server:\n  prot: 1\n  port: '80'\n  trusted_proxies: [10.0.0.0/8, nonsense]\n"
        "auth:\n  access_lifetime: 15\n  open_login: maybe\nlogins: {}\n",
        AUTHGW_LOGGING__LEVEL="loud",
    )
    assert len(messages) == 7
    text = "\n".join(messages)
    assert "config.yml:2: server.prot: unknown key: did you mean port?" in text
    assert "config.yml:3: server.port:" in text
    assert "config.yml:4: server.trusted_proxies[1]:" in text
    assert "config.yml:6: auth.access_lifetime: is not a duration" in text
    assert "config.yml:7: auth.open_login:" in text
    assert "config.yml:8: logins: unknown key" in text
    assert "AUTHGW_LOGGING__LEVEL: logging.level:" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cache: {url: 'redis://a', host: b}", "is set together with cache.host"),
        ("cache: {port: 1}", "has no effect without cache.host"),
        ("cache: {password_file: x}", "is for a Redis store"),
        ("cache: {url: 'redis://:a@b', password_file: x}", "together with a password in cache.url"),
        ("cache: {url: 'redis://a', ca_file: x}", "write rediss://"),
        ("cache: {url: 'redis+sentinel://a'}", "cache.url: has no name of a master"),
        ("cache: {url: 'redis+http://a'}", "is not the URL of a Redis"),
        ("cache: {url: 'http://a'}", "is not the URL of a store"),
        ("cache: {url: 'embedded:///'}", "has no name of a file"),
        ("cache: {url: 'embedded://var/a.db'}", "three slashes"),
        ("cache: {max_staleness: 50ms}", "cache.max_staleness: is too short"),
        ("auth: {secret_file: x}", "is for HS256"),
        ("auth: {access_lifetime: 2h, refresh_lifetime: 1h}", "longer than auth.refresh_lifetime"),
        ("auth: {refresh_lifetime: 9999h}", "longer than auth.session_max"),
        ("auth: {access_lifetime: 0}", "is too small: write more than 0"),
        ("auth: {max_sessions: 0}", "is too small: write at least 1"),
        ("auth: {max_sessions: true}", "valid integer"),
        ("headers: {user: Remote-Groups}", "two headers have the same name"),
        ("headers: {user: 'X_User'}", "is not a valid header name"),
        ("server:", "must be a section"),
        ("rules: []", "config.yml:1: rules: is empty"),
        ("rules:", "rules: is empty"),
        ("rules: {}", "rules: is empty"),
        ("rules: anyone", "rules:"),
        ("rules:\n  - {}", "config.yml:2: rules[0].allow: is missing: add it"),
        ("rules:\n  - allow: all", "config.yml:2: rules[0].allow: unknown subject"),
        ("rules:\n  - allow: 'group:'", "unknown subject"),
        ("rules:\n  - allow: []", "is an empty list"),
        ("rules:\n  - allow: anyone\n    hots: x", "config.yml:3: rules[0].hots: unknown key"),
        ("rules: [{allow: anyone, host: 'a b'}]", "is not a valid host"),
        ("rules: [{allow: anyone, host: 'App.example.com:80'}]", "write app.example.com"),
        ("rules: [{allow: anyone, host: '*'}]", "is not a valid host"),
        ("rules: [{allow: anyone, path: admin}]", "begin it with /"),
        ("rules: [{allow: anyone, path: /a//b}]", "write it decoded"),
        ("rules: [{allow: anyone, regex: '('}]", "is not a valid regular expression"),
        ("rules: [{allow: anyone, method: get}]", "is not a valid method"),
        ("rules: [{allow: anyone, from: nowhere}]", "rules[0].from"),
        ("rules: [{allow: anyone, preflight: true}]", "rules[0].preflight"),
        ("rules: [{allow: anyone, encoded: dot-segment}]", "rules[0].encoded"),
        ("- a", "must be sections"),
        ("just text", "must be sections"),
        ("server: {port: 1}\nserver: {port: 2}", "config.yml:2: server: is duplicated"),
        ("server: {port: 1\n", "is not valid YAML"),
        ("server: !!python/object:os.system x", "is not valid YAML"),
        ("? [a, b]\n: 1", "config"),
        ("logging: {level: !!bool x}", "is not valid YAML"),
        ("\x00", "is not valid YAML"),
    ],
)
def test_invalid_configurations_are_refused(tmp_path: Path, text: str, message: str) -> None:
    assert message in "\n".join(problems(tmp_path, text))


def test_mistake_in_rule_is_reported_once(tmp_path: Path) -> None:
    (message,) = problems(tmp_path, "rules:\n  - {host: a.example.com, allow: all}")
    assert "unknown subject" in message


@pytest.mark.parametrize("text", ["auth: {refresh_lifetime: 5s}", "auth: {session_max: 10s}"])
def test_default_longer_than_session_is_accepted(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text).settings.auth.access_lifetime == 15 * 60


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "absent.yml", {})
    (tmp_path / "config.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "config.yml", {})


def test_environment_overrides_file_and_is_not_repeated(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "server: {port: 1}",
        AUTHGW_SERVER__PORT="9000",
        AUTHGW_SERVER__TRUSTED_PROXIES="[unix]",
        AUTHGW_AUTH__PASSWORDS__MIN_LENGTH="12",
        AUTHGW_CACHE__URL="redis://:hush@cache/0",
        AUTHGW_HOME="/no/setting",
    )
    assert config.settings.server.port == 9000
    assert config.settings.server.trusted_proxies == ("unix",)
    assert config.settings.auth.passwords.min_length == 12
    assert "hush" not in repr(config)
    for value in ("sekret://:hush@cache", "{hush", "[hush]"):
        assert "hush" not in "\n".join(problems(tmp_path, "", AUTHGW_CACHE__URL=value))
    assert "AUTHGW_SERVER__PROT" in problems(tmp_path, "", AUTHGW_SERVER__PROT="1")[0]
    assert "AUTHGW_SERVER__PORT2" in problems(tmp_path, "", AUTHGW_SERVER__PORT2="1")[0]
    assert (
        "is a section in one source" in problems(tmp_path, "server: 1", AUTHGW_SERVER__PORT="1")[0]
    )


def test_defaults_without_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load(None, {})
    assert not config.settings.cache.is_shared
    assert config.path("var/x") == tmp_path / "var/x"
    assert config.path("/abs") == Path("/abs")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("15m", 900), ("720h", 2592000), ("1h30m", 5400), ("1.5s", 1.5), ("300ms", 0.3), (0, 0)],
)
def test_durations(text: object, expected: float) -> None:
    assert parse_duration(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "15", 15, "m", "-1h", "1h ", "1y", None, True, False, "1e3s"])
def test_invalid_durations(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("login: {url: /login}", "login.url: is not the URL of a page"),
        ("login: {url: 'https://a.test/lo gin'}", "login.url: contains a space"),
        ("login: {url: 'https://A.test./login'}", "login.url: contains a host"),
        ("login: {url: 'https://a.test/login', color: red}", "login.color: is not a valid colour"),
        ("logging: {commands: sysolg}", "logging.commands: is unknown: write stderr, syslog, or"),
        (
            "login: {url: 'https://a.test/login', redirect_hosts: ['https://b.test']}",
            "login.redirect_hosts[0]: is not a valid host",
        ),
        (
            "login: {cookie_domain: example.com}",
            "login.cookie_domain: has no effect without login.url",
        ),
        (
            "login: {url: 'https://a.test/login', domains: [{url: 'https://b.test/login'}]}",
            "login.domains: is set together with",
        ),
        ("login: {domains: [{cookie_domain: b.test}]}", "login.domains[0]: has no url"),
        (
            "login: {domains: [{url: 'https://a.test/login', cookie_domain: b.test}]}",
            "login.domains[0].url: host a.test is outside login.domains[0].cookie_domain b.test",
        ),
        (
            "rules: [{allow: anyone, foreign: deny}]",
            "rules[0]: foreign: deny has no effect with allow: anyone",
        ),
        (
            "rules: [{allow: authenticated, foreign: deny, upstream_auth: connection}]",
            "rules[0]: foreign: deny and upstream_auth contradict each other",
        ),
        ("rules: [{allow: authenticated, foreign: pass}]", "rules[0].foreign: "),
        ("rules: [{allow: authenticated, upstream_auth: ntlm}]", "rules[0].upstream_auth: "),
        ("auth: {previous_issuers: ['']}", "auth.previous_issuers[0]: "),
        (
            "rules: [{allow: anyone, require: totp}]",
            "rules[0]: require: totp needs a login",
        ),
    ],
)
def test_invalid_login_pages_and_rules(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "config.yml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert message in str(caught.value)


def test_warning_for_unusual_login_page(tmp_path: Path) -> None:
    config = loaded(tmp_path, "login: {url: 'https://portal.example.com/'}")
    message = "does not end in /login, so that it is a page of your own"
    assert any(message in warning for warning in config.warnings)


def test_login_page_on_localhost_needs_no_https(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    for host in ("localhost:4000", "auth.example.localhost:4000"):
        file.write_text(f"login: {{url: 'http://{host}/login'}}")
        assert load(file, {}).warnings == ()


@pytest.mark.parametrize(("text", "expected"), [("0", 0.0), ("100ms", 0.1)])
def test_max_staleness(tmp_path: Path, text: str, expected: float) -> None:
    config = loaded(tmp_path, f"cache: {{max_staleness: {text}}}")
    assert config.settings.cache.max_staleness == expected


def test_networks_encodings_and_methods_of_rules(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text(
        "rules:\n"
        "  - {allow: anyone, path: /a/**, encoded: [backslash, bytes], method: [GET, PUT]}\n"
        "  - {allow: anyone, method: POST, from: '::ffff:10.0.0.0/104'}\n"
    )
    rules = load(file, {}).rules
    assert rules is not None
    first, second = rules.ordered
    assert {kind.value for kind in first.encoded} == {"backslash", "bytes"}
    assert first.methods == frozenset({"GET", "HEAD", "PUT"})
    assert second.methods == frozenset({"POST"})
    assert second.networks is not None
    assert second.networks.trusts("10.1.2.3")
    file.write_text("rules: [{allow: anyone, from: 10.0.0.5/8}]")
    with pytest.raises(ConfigError, match=r"write 10\.0\.0\.0/8 for the whole network"):
        load(file, {})


@pytest.mark.parametrize("entry", ["0.0.0.0/0", "::/0"])
def test_warning_for_trusting_every_address(tmp_path: Path, entry: str) -> None:
    file = tmp_path / "config.yml"
    file.write_text(f"server: {{trusted_proxies: [127.0.0.1, '{entry}']}}")
    assert any("contains every address" in warning for warning in load(file, {}).warnings)
    file.write_text("server: {trusted_proxies: [127.0.0.1, 10.0.0.0/8]}")
    assert load(file, {}).warnings == ()
