"""Configuration: what loads, and how every mistake is named."""

from pathlib import Path

import pytest

from authgw.config.loader import ConfigError, load
from authgw.config.schema import parse_duration
from tests.support.config import loaded, problems

SEED = """\
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


def test_the_seeds_configuration_means_the_same(tmp_path: Path) -> None:
    got = loaded(tmp_path, SEED)
    settings = got.settings
    assert settings.server.port == 8080
    assert (settings.logging.mode, settings.logging.level) == ("text", "debug")
    assert settings.cache.address == "redis://cache:6379/0"
    assert settings.auth.issuer == "jwt-microservice"
    assert settings.auth.access_lifetime == 15 * 60
    assert settings.auth.refresh_lifetime == 720 * 3600
    assert settings.auth.auto_logout == 24 * 3600
    assert settings.auth.passwords.min_length == 8
    assert len(got.warnings) == 1
    assert "config.yml:3: server.max_processors" in got.warnings[0]


def test_everything_wrong_is_said_at_once_with_its_line(tmp_path: Path) -> None:
    said = problems(
        tmp_path,
        "server:\n  prot: 1\n  port: '80'\n  trusted_proxies: [10.0.0.0/8, nonsense]\n"
        "auth:\n  access_lifetime: 15\n  open_login: maybe\nlogins: {}\n",
        AUTHGW_LOGGING__LEVEL="loud",
    )
    assert len(said) == 7
    text = "\n".join(said)
    assert "config.yml:2: server.prot: unknown key: did you mean port?" in text
    assert "config.yml:3: server.port:" in text
    assert "config.yml:4: server.trusted_proxies.1:" in text
    assert "config.yml:6: auth.access_lifetime: is not a duration" in text
    assert "config.yml:7: auth.open_login:" in text
    assert "config.yml:8: logins: unknown key" in text
    assert "AUTHGW_LOGGING__LEVEL: logging.level:" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cache: {url: 'redis://a', host: b}", "cannot stand beside cache.host"),
        ("cache: {port: 1}", "needs cache.host"),
        ("cache: {password_file: x}", "is for Redis"),
        ("cache: {url: 'redis://:a@b', password_file: x}", "beside a password in cache.url"),
        ("cache: {url: 'redis://a', ca_file: x}", "write rediss://"),
        ("cache: {url: 'redis+sentinel://a'}", "cache.url: names no master"),
        ("cache: {url: 'redis+http://a'}", "is no Redis"),
        ("cache: {url: 'http://a'}", "is not a store"),
        ("cache: {url: 'embedded:///'}", "names no file"),
        ("cache: {url: 'embedded://var/a.db'}", "three slashes"),
        ("cache: {max_staleness: 50ms}", "cache.max_staleness: 0 (ask the store at every request)"),
        ("auth: {secret_file: x}", "is for HS256"),
        ("auth: {access_lifetime: 2h, refresh_lifetime: 1h}", "longer than auth.refresh_lifetime"),
        ("auth: {refresh_lifetime: 9999h}", "longer than auth.session_max"),
        ("auth: {access_lifetime: 0}", "greater than 0"),
        ("auth: {max_sessions: 0}", "greater than or equal to 1"),
        ("auth: {max_sessions: true}", "valid integer"),
        ("headers: {user: Remote-Groups}", "two of the names are the same"),
        ("headers: {user: 'X_User'}", "not a header name"),
        ("server:", "must be a section"),
        ("rules: []", "config.yml:1: rules: is empty"),
        ("rules:", "rules: is empty"),
        ("rules: {}", "rules: is empty"),
        ("rules: anyone", "rules:"),
        ("rules:\n  - {}", "config.yml:2: rules.0.allow: Field required"),
        ("rules:\n  - allow: all", "config.yml:2: rules.0.allow.0: is nobody"),
        ("rules:\n  - allow: 'group:'", "is nobody"),
        ("rules:\n  - allow: []", "at least 1 item"),
        ("rules:\n  - allow: anyone\n    hots: x", "config.yml:3: rules.0.hots: unknown key"),
        ("rules: [{allow: anyone, host: 'a b'}]", "is no host"),
        ("rules: [{allow: anyone, host: 'App.example.com:80'}]", "write app.example.com"),
        ("rules: [{allow: anyone, host: '*'}]", "is no host"),
        ("rules: [{allow: anyone, path: admin}]", "begins with /"),
        ("rules: [{allow: anyone, path: /a//b}]", "write the path decoded"),
        ("rules: [{allow: anyone, regex: '('}]", "regex:("),
        ("rules: [{allow: anyone, method: get}]", "is no method"),
        ("rules: [{allow: anyone, from: nowhere}]", "rules.0.from.0"),
        ("rules: [{allow: anyone, preflight: true}]", "rules.0.preflight"),
        ("rules: [{allow: anyone, encoded: dot-segment}]", "rules.0.encoded.0"),
        ("- a", "must be sections"),
        ("just text", "must be sections"),
        ("server: {port: 1}\nserver: {port: 2}", "config.yml:2: server: stands twice"),
        ("server: {port: 1\n", "is not YAML"),
        ("server: !!python/object:os.system x", "is not YAML"),
        ("? [a, b]\n: 1", "config"),
        ("logging: {level: !!bool x}", "is not YAML that can be read"),
        ("\x00", "is not YAML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, said: str) -> None:
    assert said in "\n".join(problems(tmp_path, text))


def test_a_mistake_in_a_rule_is_one_mistake(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, "rules:\n  - {host: a.example.com, allow: all}")
    assert "is nobody" in said


@pytest.mark.parametrize("text", ["auth: {refresh_lifetime: 5s}", "auth: {session_max: 10s}"])
def test_a_default_gives_way_to_a_shorter_life(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text).settings.auth.access_lifetime == 15 * 60


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "absent.yml", {})
    (tmp_path / "config.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "config.yml", {})


def test_the_environment_wins_and_no_value_of_it_is_repeated(tmp_path: Path) -> None:
    got = loaded(
        tmp_path,
        "server: {port: 1}",
        AUTHGW_SERVER__PORT="9000",
        AUTHGW_SERVER__TRUSTED_PROXIES="[unix]",
        AUTHGW_AUTH__PASSWORDS__MIN_LENGTH="12",
        AUTHGW_CACHE__URL="redis://:hush@cache/0",
        AUTHGW_HOME="/no/setting",
    )
    assert got.settings.server.port == 9000
    assert got.settings.server.trusted_proxies == ("unix",)
    assert got.settings.auth.passwords.min_length == 12
    assert "hush" not in repr(got)
    for value in ("sekret://:hush@cache", "{hush", "[hush]"):
        assert "hush" not in "\n".join(problems(tmp_path, "", AUTHGW_CACHE__URL=value))
    assert "AUTHGW_SERVER__PROT" in problems(tmp_path, "", AUTHGW_SERVER__PROT="1")[0]
    assert "AUTHGW_SERVER__PORT2" in problems(tmp_path, "", AUTHGW_SERVER__PORT2="1")[0]
    assert "no section" in problems(tmp_path, "server: 1", AUTHGW_SERVER__PORT="1")[0]


def test_without_a_file_the_defaults_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    got = load(None, {})
    assert got.settings.cache.is_embedded
    assert got.path("var/x") == tmp_path / "var/x"
    assert got.path("/abs") == Path("/abs")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("15m", 900), ("720h", 2592000), ("1h30m", 5400), ("1.5s", 1.5), ("300ms", 0.3), (0, 0)],
)
def test_durations(text: object, wanted: float) -> None:
    assert parse_duration(text) == pytest.approx(wanted)


@pytest.mark.parametrize("text", ["", "15", 15, "m", "-1h", "1h ", "1y", None, True, False, "1e3s"])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("login: {url: /login}", "login.url: is no page"),
        ("login: {url: 'https://a.test/lo gin'}", "login.url: holds a space"),
        ("login: {url: 'https://A.test./login'}", "login.url: names no host"),
        ("login: {url: 'https://a.test/login', color: red}", "login.color: is no colour"),
        (
            "login: {url: 'https://a.test/login', redirect_hosts: ['https://b.test']}",
            "login.redirect_hosts.0: is no host",
        ),
        ("login: {cookie_domain: example.com}", "login.cookie_domain: needs the url"),
        (
            "login: {url: 'https://a.test/login', domains: [{url: 'https://b.test/login'}]}",
            "login.domains: stands beside login.url",
        ),
        ("login: {domains: [{cookie_domain: b.test}]}", "login.domains.0: needs the url"),
        (
            "login: {domains: [{url: 'https://a.test/login', cookie_domain: b.test}]}",
            "login.domains.0.url host a.test is outside cookie_domain b.test",
        ),
        (
            "rules: [{allow: anyone, foreign: deny}]",
            "rules.0: foreign: deny denies nothing where anyone may pass",
        ),
        (
            "rules: [{allow: authenticated, foreign: deny, upstream_auth: connection}]",
            "rules.0: foreign: deny and upstream_auth contradict each other",
        ),
        ("rules: [{allow: authenticated, foreign: pass}]", "rules.0.foreign: "),
        ("rules: [{allow: authenticated, upstream_auth: ntlm}]", "rules.0.upstream_auth: "),
        ("auth: {previous_issuers: ['']}", "auth.previous_issuers.0: "),
        (
            "rules: [{allow: anyone, require: totp}]",
            "rules.0: asks a second factor of anyone",
        ),
    ],
)
def test_what_a_log_in_page_cannot_be(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "config.yml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(file, {})
    assert said in str(refused.value)


def test_a_doubtful_log_in_page_is_warned_of(tmp_path: Path) -> None:
    got = loaded(tmp_path, "login: {url: 'https://portal.example.com/'}")
    said = "does not end in /login, so that page is your own"
    assert any(said in warning for warning in got.warnings)


def test_a_log_in_page_on_this_machine_needs_no_https(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    for host in ("localhost:4000", "auth.example.localhost:4000"):
        file.write_text(f"login: {{url: 'http://{host}/login'}}")
        assert load(file, {}).warnings == ()


@pytest.mark.parametrize(("text", "wanted"), [("0", 0.0), ("100ms", 0.1)])
def test_how_old_an_answer_may_be(tmp_path: Path, text: str, wanted: float) -> None:
    got = loaded(tmp_path, f"cache: {{max_staleness: {text}}}")
    assert got.settings.cache.max_staleness == wanted


def test_rules_name_networks_encodings_and_methods(tmp_path: Path) -> None:
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
    with pytest.raises(ConfigError, match=r"write 10\.0\.0\.0/8 for all of it"):
        load(file, {})


@pytest.mark.parametrize("entry", ["0.0.0.0/0", "::/0"])
def test_trusting_every_address_is_warned_of(tmp_path: Path, entry: str) -> None:
    file = tmp_path / "config.yml"
    file.write_text(f"server: {{trusted_proxies: [127.0.0.1, '{entry}']}}")
    assert any("names every address" in warning for warning in load(file, {}).warnings)
    file.write_text("server: {trusted_proxies: [127.0.0.1, 10.0.0.0/8]}")
    assert load(file, {}).warnings == ()
