"""Values in YAML and variables: accepted spellings, and errors with key, line and remedy."""

from functools import reduce
from itertools import pairwise
from pathlib import Path

import pytest

from authgw.config.loader import ConfigError, load
from tests.support.config import loaded, problems


def value(directory: Path, key: str, text: str, environ: dict[str, str] | None = None) -> object:
    """Return the setting of this text in a file, or of these variables."""
    section, _, name = key.partition(".")
    if environ is None:
        config = loaded(directory, f"{section}:\n  {name}: {text}\n")
    else:
        config = loaded(directory, "", **environ)
    return reduce(getattr, key.split("."), config.settings)


TEXTS = ["2024", "true", "no", "010", "0x1f", "1_000", "12:30", "2024-01-01", "1e3", ".5", "=", "y"]
ACCEPTED = [
    *(("login.product", text, text) for text in TEXTS),
    ("auth.issuer", "12:30", "12:30"),
    ("auth.audience", "0123", "0123"),
    ("login.totp", "off", "off"),
    ("login.color", '"#0a7a70"', "#0a7a70"),
    ("logging.commands", "syslog", "syslog"),
    ("logging.commands", "/proc/1/fd/2", "/proc/1/fd/2"),
    ("server.port", "8080", 8080),
    ("server.port", "8080   # a comment", 8080),
    ("server.docs", "yes", True),
    ("server.docs", "Off", False),
    ("auth.open_login", "no", False),
    ("auth.refresh_grace", "0", 0.0),
    ("auth.access_lifetime", "15m", 900.0),
    ("auth.access_lifetime", '"1h30m"', 5400.0),
    ("server.host", "'::'", "::"),
    ("server.host", "fe80::1%eth0", "fe80::1%eth0"),
    ("server.trusted_proxies", "10.0.0.1", ("10.0.0.1",)),
    ("server.trusted_proxies", "10.0.0.1, unix", ("10.0.0.1", "unix")),
    ("server.trusted_proxies", "[10.0.0.1, '::1']", ("10.0.0.1", "::1")),
    ("server.trusted_proxies", "[]", ()),
]


@pytest.mark.parametrize(("key", "text", "expected"), ACCEPTED)
def test_value_from_file(tmp_path: Path, key: str, text: str, expected: object) -> None:
    assert value(tmp_path, key, text) == expected


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        *(accepted for accepted in ACCEPTED if "a comment" not in accepted[1]),
        ("login.color", "#0a7a70", "#0a7a70"),
        ("login.product", "#1", "#1"),
        ("login.product", "*", "*"),
        ("login.product", "My App: the best, [or] {not}", "My App: the best, [or] {not}"),
        ("login.product", "'quoted'", "quoted"),
        ("login.product", " edges ", "edges"),
        ("server.host", "::", "::"),
        ("server.trusted_proxies", "::1", ("::1",)),
        ("server.trusted_proxies", "::1,10.0.0.1", ("::1", "10.0.0.1")),
        ("server.trusted_proxies", "- unix\n- ::1", ("unix", "::1")),
        ("server.port", "8080\n", 8080),
    ],
)
def test_value_from_variable(tmp_path: Path, key: str, text: str, expected: object) -> None:
    name = f"AUTHGW_{key.replace('.', '__').upper()}"
    assert value(tmp_path, key, text, {name: text}) == expected


def test_hosts_from_variable_need_no_yaml(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "login: {url: 'https://auth.example.com/login'}",
        AUTHGW_LOGIN__REDIRECT_HOSTS="*.example.com,example.com",
    )
    assert config.settings.login.redirect_hosts == ("*.example.com", "example.com")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("login:\n  color: #0a7a70\n", 2, "login.color: begins with #"),
        ("login: {color: #0a7a70}\n", 2, "quote the value of `color`, which begins with #"),
        ("auth:\n  audience: #production\n", 2, "auth.audience: begins with #"),
        ("auth:\n  audience: &production\n", 2, "auth.audience: begins with &"),
        ("auth:\n  issuer: # none\n", 2, "auth.issuer: is empty: write its value"),
        ("auth:\n  issuer: ~\n", 2, "auth.issuer: is empty"),
        ("auth:\n  issuer: ''\n", 2, "auth.issuer: is empty"),
        ("rules:\n- allow: anyone\n  host: *.example.com\n", 3, "quote the value of `host`"),
        ("rules:\n- {allow: anyone, host: *.example.com}\n", 2, "quote the value of `host`"),
        ("rules:\n- allow: anyone\n  path: **\n", 3, "quote the value of `path`"),
        ("rules:\n- allow: @admins\n", 2, "quote the value of `allow`, which begins with @"),
        ("rules:\n- allow: anyone\n  regex: [a-z]+\n", 3, "quote the value of `regex`"),
        ("rules:\n- allow: anyone\n  regex: \"\\d+\"\n", 3, "in single quotes"),
        ("rules:\n- allow: anyone\n  path:\n", 3, "rules[0].path: is empty"),
        ("rules:\n- allow: anyone\n-\n", 3, "rules[1]: must be a section"),
        ("server:\n  trusted_proxies: [::1]\n", 2, 'begins with a colon, such as "::1"'),
        ("server:\n  trusted_proxies: [~]\n", 2, "server.trusted_proxies[0]: is empty"),
        ("server:\n  trusted_proxies: a,b\n", 2, "trusted_proxies: is not a network: write"),
        ("server:\n  trusted_proxies: 10.0.0.1/8\n", 2, "write 10.0.0.0/8 for the whole network"),
        ("server:\n\tport: 1\n", 2, "indent with spaces, not tabs"),
        ("server:\n  port: 010\n", 2, "server.port: is not a valid integer: write plain"),
        ("server:\n  port: 0x1f90\n", 2, "server.port: is not a valid integer"),
        ("server:\n  port: 8_080\n", 2, "server.port: is not a valid integer"),
        ("server:\n  port: 8080.0\n", 2, "server.port: is not a valid integer"),
        ("server:\n  port: '8080'\n", 2, "write plain digits without quotes"),
        ("server:\n  port: 1:30\n", 2, "server.port: is not a valid integer"),
        ("server:\n  docs: 'yes'\n", 2, "server.docs: must be true or false"),
        ("server:\n  docs: 1\n", 2, "server.docs: must be true or false"),
        ("server:\n  host: ''\n", 2, "server.host: is empty"),
        ("server:\n  host: '*'\n", 2, "server.host: is not an address to listen on"),
        ("server:\n  host: 0.0.0.0:8080\n", 2, "without port and brackets"),
        ("server:\n  host: '[::]'\n", 2, "without port and brackets"),
        ("metrics:\n  host: ''\n", 2, "metrics.host: is empty"),
        ("cache:\n  host: redis:6379\n", 2, "cache.host: is not the name of a single host"),
        ("cache:\n  host: redis://redis\n", 2, "cache.host: is not the name of a single host"),
        ("auth:\n  access_lifetime: 15 m\n", 2, "is not a duration: write it with its unit"),
        ("auth:\n  access_lifetime: 15min\n", 2, "is not a duration"),
        ("auth:\n  access_lifetime: 1:30\n", 2, "is not a duration"),
        ("auth:\n  access_lifetime: 9999999h\n", 2, "is longer than 100 years"),
        ("auth:\n  session_max: " + "9" * 400 + "h\n", 2, "is longer than 100 years"),
        ("auth:\n  users: [a.yml]\n", 2, "auth.users: is not text"),
        ("login:\n  domains: {url: 'https://a.test/login'}\n", 2, "must be a list"),
        ("rules: {allow: anyone}\n", 1, "rules: must be a list"),
        ("rules:\n- allow: 'group:a, group:b'\n", 2, "write a list, [group:a, group:b]"),
        ("rules:\n- {allow: anyone, path: '/a/**,/b/**'}\n", 2, "contains several paths"),
        ("rules:\n- {allow: anyone, path: '/a, =/b'}\n", 2, "contains several paths"),
        ("rules:\n- {allow: anyone, method: 'GET,POST'}\n", 2, "is not a valid method"),
        ("rules:\n- {allow: anyone, host: [a.test, b.test]}\n", 2, "rules[0].host: is not text"),
        ("headers:\n  user: Authorization\n", 2, "is a header with another meaning"),
        ("headers:\n  user: X-Original-URL\n", 2, "is a header with another meaning"),
        ("server: {port: 1}\n---\nrules: []\n", 2, "keep one document"),
        ("auth: {passwords: {min_length: 1, min_length: 2}}\n", 1, "min_length: is duplicated"),
        ("rules:\n- allow: anyone\n  allow: authenticated\n", 3, "rules[0].allow: is duplicated"),
        ("server: !env X\n", 1, "quote the value of `server`, which begins with !"),
        ("null\n", 1, "must be sections: begin with `server:`"),
        ("[]\n", 1, "must be sections"),
        ("Server: {port: 1}\n", 1, "Server: unknown key: did you mean server?"),
    ],
)  # fmt: skip  # rows of a table
def test_error_has_line_and_remedy(tmp_path: Path, text: str, line: int, message: str) -> None:
    errors = problems(tmp_path, text)
    assert any(item.startswith(f"config.yml:{line}: ") and message in item for item in errors), (
        errors
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "rules: [{allow: anyone, hots: a.test}]",
            "rules[0].hots: unknown key: did you mean host?",
        ),
        ("rules: [{allow: anyone, hosts: a.test}]", "rules[0].hosts: unknown key: did you mean"),
        ("rules: [{allow: anyone, From: '::1'}]", "rules[0].From: unknown key: did you mean from?"),
        ("rules: [{allow: anyone, form: '::1'}]", "rules[0].form: unknown key: did you mean from?"),
        ("rules: [{allow: anyone, credential: cookie}]", "did you mean credentials?"),
        ("auth: {passwords: {minlength: 3}}", "did you mean min_length?"),
        ("login: {domains: [{url: 'https://a.test/login', cookiedomain: x}]}", "cookie_domain?"),
        ("headers: {groupes: X-G}", "headers.groupes: unknown key: did you mean groups?"),
    ],
)
def test_unknown_key_is_reported_with_nearest_key(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in "\n".join(problems(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    ["\ufeffserver: {port: 1}", "server:\r\n  port: 1\r\n", "server: {port: 1, }", "---\nserver:\n"
     "    port:   1\n...\n", '{"server": {"port": 1}}', "'server': {'port': 1}"],
)  # fmt: skip  # rows of a table
def test_byte_order_mark_line_ends_and_json_are_accepted(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text).settings.server.port == 1


def test_merge_keys_and_anchors(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "rules:\n"
        "- &api {allow: authenticated, host: a.test, method: GET}\n"
        "- <<: *api\n"
        "  host: b.test\n"
        "- <<: [*api, {encoded: slash}]\n"
        "  allow: group:x\n",
    )
    assert config.rules is not None
    assert [rule.host for rule in config.rules.ordered] == ["a.test", "b.test", "a.test"]
    assert [rule.origin for rule in config.rules.ordered] == [f"config.yml:{n}" for n in (2, 3, 5)]
    assert config.rules.ordered[2].encoded
    assert config.rules.ordered[2].allow.groups == {"x"}
    assert not config.rules.ordered[2].allow.authenticated


def test_error_in_merged_key_has_its_original_line(tmp_path: Path) -> None:
    text = "rules:\n- &a\n  allow: anyone\n  hots: x\n- {<<: *a}\n"
    messages = problems(tmp_path, text)
    assert [message.partition(": ")[0] for message in messages] == ["config.yml:4", "config.yml:4"]


def test_aliases_and_depth_are_limited(tmp_path: Path) -> None:
    names = "abcdefghij"
    nested = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in pairwise(names)
    )
    assert "is too large" in problems(tmp_path, nested)[0]
    for text in ("[" * 100_000, "a: &a [*a]", "a: &a {b: *a}", "a: &a {<<: *a}", "{" * 5_000):
        assert "config.yml" in problems(tmp_path, text)[0]


@pytest.mark.parametrize(
    "text",
    [
        "cache: {url: *hush}", "cache: {url: &hush}", "cache: {url: !hush}", "cache: {url: @hush}",
        "cache: {url: redis://:hush: x}", "cache: {url: hush}", "cache: {url: 'redis://:hush@a?x'}",
        "cache: {url: 'redis://:hush@a', url: x}", "cache: {url: [hush]}",
        "cache: {url: {x: hush}}",
        "cache: {url: 'redis://:hush@a', host: b}", "cache: {url: |hush}", "cache: {url: `hush`}",
        "cache: {host: 'user:hush@redis'}", "cache:\n  url: 'hush\n", "cache: {url: \"\\hush\"}",
        "cache: {url: %hush}", "cache:\n  url: redis://:hush: x", "cache: hush",
    ],
)  # fmt: skip  # rows of a table
def test_messages_contain_no_values(tmp_path: Path, text: str) -> None:
    message = "\n".join(problems(tmp_path, text))
    assert "hush" not in message


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    for content in (
        "server: {port: 1}".encode("utf-16"),
        "login: {product: Café}".encode("latin-1"),
    ):
        (tmp_path / "config.yml").write_bytes(content)
        with pytest.raises(ConfigError, match="is not UTF-8 text: save it as UTF-8"):
            load(tmp_path / "config.yml", {})
