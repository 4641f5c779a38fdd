"""Environment variables: each variable is read, ignored with a note, or refused."""

import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.config.environment import known_variables, read_environment
from authgw.config.loader import ConfigError, LoadedConfig, load
from tests.support.config import loaded, problems

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AUTHGW_SERVER_PORT", "AUTHGW_SERVER__PORT"),
        ("authgw_server__port", "AUTHGW_SERVER__PORT"),
        ("Authgw_Server_Port", "AUTHGW_SERVER__PORT"),
        ("AUTHGW_SERVER__port", "AUTHGW_SERVER__PORT"),
        ("AUTHGW__SERVER__PORT", "AUTHGW_SERVER__PORT"),
        ("AUTHGW_SERVER__PORT_", "AUTHGW_SERVER__PORT"),
        ("AUTHGW_SERVER___PORT", "AUTHGW_SERVER__PORT"),
        ("AUTHGW_SEVER__PORT", "AUTHGW_SERVER__PORT"),
        ("AUTHGW_SERVER__PROT", "AUTHGW_SERVER__PORT"),
        ("AUTHGW.SERVER.PORT", "AUTHGW_SERVER__PORT"),
        ("AUTHGW-SERVER-PORT", "AUTHGW_SERVER__PORT"),
        ("AUTHGWSERVER__PORT", "AUTHGW_SERVER__PORT"),
        ("AUTHWG_SERVER__PORT", "AUTHGW_SERVER__PORT"),
        ("AUTH_GW_SERVER__PORT", "AUTHGW_SERVER__PORT"),
        ("AUTGW_RULES", "AUTHGW_RULES"),
        ("AUTHGW_RULE", "AUTHGW_RULES"),
        ("AUTHGW_RULES_", "AUTHGW_RULES"),
        ("authgw_rules", "AUTHGW_RULES"),
        ("AUTHGW_RULES_FILE", "AUTHGW_RULES"),
        ("AUTHGW_RULES__0__ALLOW", "AUTHGW_RULES"),
        ("AUTHGW_LOGIN__DOMAINS__0__URL", "AUTHGW_LOGIN__DOMAINS"),
        ("AUTHGW_TRUSTED_PROXIES", "AUTHGW_SERVER__TRUSTED_PROXIES"),
        ("AUTHGW_COOKIE_DOMAIN", "AUTHGW_LOGIN__COOKIE_DOMAIN"),
        ("AUTHGW_PASSWORDS__MIN_LENGTH", "AUTHGW_AUTH__PASSWORDS__MIN_LENGTH"),
        ("AUTHGW_AUTH_PASSWORDS_MIN_LENGTH", "AUTHGW_AUTH__PASSWORDS__MIN_LENGTH"),
        ("AUTHGW_REDIS_URL", "AUTHGW_CACHE__URL"),
        ("AUTHGW_CACHE_URL_FILE", "AUTHGW_CACHE__URL_FILE"),
        ("AUTHGW_CACHE__PASSWORD", "AUTHGW_CACHE__PASSWORD_FILE"),
        ("AUTHGW_CONFIG_FILE", "AUTHGW_CONFIG"),
        ("authgw_config", "AUTHGW_CONFIG"),
        ("AUTHGW_METRICS_PORT", "AUTHGW_METRICS__PORT"),
        ("AUTHGW_LOG_LEVEL", "AUTHGW_LOGGING__LEVEL"),
    ],
)
def test_unknown_variable_is_refused_with_nearest_name(
    tmp_path: Path, name: str, expected: str
) -> None:
    (message,) = problems(tmp_path, "", **{name: "hush"})
    assert message == f"{name}: unknown variable: did you mean {expected}?"


@pytest.mark.parametrize("name", ["AUTHGW_X9Q", "AUTHGW_", "AUTHGW", "AUTHGW_SERVER__"])
def test_unknown_variable_without_similar_name_is_refused(tmp_path: Path, name: str) -> None:
    (message,) = problems(tmp_path, "", **{name: "hush"})
    assert message.startswith(f"{name}: unknown variable: ")
    assert "hush" not in message


@given(st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=30))
def test_no_variable_with_prefix_is_ignored_silently(rest: str) -> None:
    name = f"AUTHGW_{rest}"
    environment = read_environment({name: "x"}, Path("/"))
    is_known = name in known_variables() or name == "AUTHGW_CONFIG"
    assert is_known or environment.source.problems or environment.ignored


@pytest.mark.parametrize(
    "name",
    [
        "AUTHGW_SERVICE_HOST", "AUTHGW_SERVICE_PORT", "AUTHGW_SERVICE_PORT_HTTP", "AUTHGW_PORT",
        "AUTHGW_PORT_8080_TCP", "AUTHGW_PORT_8080_TCP_ADDR", "AUTHGW_PORT_8080_TCP_PROTO",
        "AUTHGW_METRICS_PORT_9090_TCP", "AUTHGW_METRICS_PORT_9090_TCP_PORT", "AUTHGW_URL",
        "AUTHGW_CLIENT", "AUTHGW_TEST_CLIENT", "AUTHGW_BENCH_SECONDS", "AUTHGW_SOAK",
        "AUTHGW_SCREENSHOTS", "AUTHGW_HOME", "AUTHGW_METRICS_SERVICE_HOST",
        "AUTHGW_METRICS_SERVICE_PORT", "AUTHGW_METRICS_PORT",
    ],
)  # fmt: skip  # rows of a table
def test_variables_of_kubernetes_and_tools_are_ignored_with_note(tmp_path: Path, name: str) -> None:
    config = loaded(tmp_path, "server: {port: 1}", **{name: "tcp://10.0.0.1:8080"})
    assert config.notes == (f"Ignored variables, which set nothing: {name}.",)
    assert config.warnings == ()


def test_variables_of_other_programs_are_ignored(tmp_path: Path) -> None:
    others = {"OLD_AUTHGW_RULES": "x", "PORT": "1", "AUTHELIA_SERVER__PORT": "1", "AUTHGWX_A": "1"}
    assert loaded(tmp_path, "server: {port: 1}", **others).notes == ()


def test_note_for_port_without_section(tmp_path: Path) -> None:
    (note,) = loaded(tmp_path, "server: {port: 1}", AUTHGW_PORT="9000").notes
    assert "AUTHGW_PORT (the port is AUTHGW_SERVER__PORT)" in note


def test_rules_from_environment(tmp_path: Path) -> None:
    config = loaded(tmp_path, "rules: [{allow: anyone}]", AUTHGW_RULES='[{allow: "group:admins"}]')
    assert config.rules is not None
    (rule,) = config.rules.ordered
    assert not rule.allow.anyone
    assert rule.allow.groups == {"admins"}
    assert rule.origin == "AUTHGW_RULES:1"
    assert config.notes == ("AUTHGW_RULES overrides rules (config.yml:1).",)


@pytest.mark.parametrize(
    "text",
    ["", " ", "\t", "null", "~", "Null", "[]", "{}", "''", '""', "#", "# none", "---", "false", "0",
     "anyone", "[null]", "[[]]", "[{}]", "{allow: anyone}", "[{alow: anyone}]", "[{allow: anyone}"],
)  # fmt: skip  # rows of a table
def test_invalid_rules_from_environment_are_refused(tmp_path: Path, text: str) -> None:
    for message in problems(tmp_path, "", AUTHGW_RULES=text):
        assert message.startswith("AUTHGW_RULES")


def test_error_in_rule_from_environment_has_line(tmp_path: Path) -> None:
    (message,) = problems(tmp_path, "", AUTHGW_RULES="- allow: anyone\n  hots: a.test")
    assert message == "AUTHGW_RULES:2: rules[0].hots: unknown key: did you mean host?"


def test_every_section_can_be_set_by_variable(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "",
        AUTHGW_SERVER="{port: 1, trusted_proxies: [unix]}",
        AUTHGW_LOGGING="mode: json",
        AUTHGW_CACHE="url: embedded://memory",
        AUTHGW_AUTH="{issuer: us, passwords: {min_length: 9}}",
        AUTHGW_LOGIN="{url: 'https://auth.example.com/login', color: '#123456'}",
        AUTHGW_HEADERS="{user: X-WEBAUTH-USER}",
        AUTHGW_METRICS="port: 2",
        AUTHGW_RULES="- allow: authenticated",
    ).settings
    assert (config.server.port, config.server.trusted_proxies) == (1, ("unix",))
    assert (config.logging.mode, config.cache.address) == ("json", "embedded://memory")
    assert (config.auth.issuer, config.auth.passwords.min_length) == ("us", 9)
    assert (config.login.color, config.headers.user, config.metrics.port) == (
        "#123456",
        "X-WEBAUTH-USER",
        2,
    )
    assert config.rules is not None
    assert len(config.rules) == 1


def test_section_from_variable_is_merged_into_file(tmp_path: Path) -> None:
    file = "auth: {issuer: file, audience: file, passwords: {min_length: 9}}"
    section = "{issuer: variable, passwords: {min_length: 10}}"
    config = loaded(tmp_path, file, AUTHGW_AUTH=section, AUTHGW_AUTH__MAX_SESSIONS="3")
    auth = config.settings.auth
    assert (auth.issuer, auth.audience, auth.passwords.min_length) == ("variable", "file", 10)
    assert auth.max_sessions == 3
    assert "AUTHGW_AUTH:1 overrides auth.issuer (config.yml:1)." in config.notes


def test_list_from_variable_replaces_list(tmp_path: Path) -> None:
    file = "server: {trusted_proxies: [10.0.0.0/8, 10.1.0.0/99]}"
    config = loaded(tmp_path, file, AUTHGW_SERVER__TRUSTED_PROXIES="[unix]")
    assert config.settings.server.trusted_proxies == ("unix",)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"AUTHGW_LOGIN": "{product: a}", "AUTHGW_LOGIN__PRODUCT": "b"},
            "AUTHGW_LOGIN__PRODUCT: login.product: is also set by AUTHGW_LOGIN:1: keep one",
        ),
        (
            {"AUTHGW_AUTH": "{passwords: {min_length: 9}}", "AUTHGW_AUTH__PASSWORDS": "{}"},
            "AUTHGW_AUTH__PASSWORDS: is an empty section: write its keys, or unset the variable",
        ),
        (
            {
                "AUTHGW_AUTH__PASSWORDS": "{min_length: 9}",
                "AUTHGW_AUTH__PASSWORDS__MIN_LENGTH": "9",
            },
            "AUTHGW_AUTH__PASSWORDS__MIN_LENGTH: auth.passwords.min_length: is also set by",
        ),
        ({"AUTHGW_SERVER": "9000"}, "AUTHGW_SERVER: server: must be a section: write keys such as"),
        ({"AUTHGW_SERVER": "[1]"}, "AUTHGW_SERVER: server: must be a section"),
        ({"AUTHGW_SERVER": "{}"}, "AUTHGW_SERVER: is an empty section"),
        ({"AUTHGW_SERVER": "{prot: 1}"}, "AUTHGW_SERVER:1: server.prot: unknown key"),
        ({"AUTHGW_SERVER": "{port: 1, port: 2}"}, "AUTHGW_SERVER:1: server.port: is duplicated"),
        ({"AUTHGW_LOGIN__COLOR": ""}, "AUTHGW_LOGIN__COLOR is empty: write its value, or unset"),
        ({"AUTHGW_LOGIN__URL": "~"}, "AUTHGW_LOGIN__URL is empty"),
        ({"AUTHGW_SERVER__TRUSTED_PROXIES": " "}, "AUTHGW_SERVER__TRUSTED_PROXIES is empty"),
        ({"AUTHGW_SERVER__PORT": '"80"'}, "server.port: is not a valid integer: write plain"),
        ({"AUTHGW_CONFIG": ""}, "AUTHGW_CONFIG is empty"),
    ],
)
def test_errors_in_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(None, environ)
    assert message in "\n".join(caught.value.problems)


def secret(directory: Path, content: bytes, mode: int = 0o600) -> Path:
    path = directory / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_secret_is_read_from_file(tmp_path: Path) -> None:
    secret(tmp_path, b"redis://:hush@redis/0\r\n")
    for name in ("secret", f" {tmp_path}/secret "):
        config = loaded(tmp_path, "", AUTHGW_CACHE__URL_FILE=name)
        assert config.settings.cache.address == "redis://:hush@redis/0"
        assert "hush" not in repr(config)


def test_existing_secret_file_keys_are_unchanged(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "",
        AUTHGW_CACHE__HOST="redis",
        AUTHGW_CACHE__PASSWORD_FILE="p",
        AUTHGW_AUTH__ALGORITHM="HS256",
        AUTHGW_AUTH__SECRET_FILE="s",
    ).settings
    assert (config.cache.password_file, config.auth.secret_file) == ("p", "s")


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (b"", 0o600, "secret is empty"),
        (b" \n", 0o600, "secret is empty"),
        (b"\xff\xfehush", 0o600, "secret is not UTF-8 text"),
        (b"redis://a\nhush", 0o600, "contains more than a line"),
        (b"redis://a\0hush", 0o600, "contains more than a line"),
        (b"hush", 0o600, "cache.url: is not the URL of a store"),
        (b"redis://:hush@a", 0o644, "chmod 600"),
    ],
)
def test_invalid_secret_file_is_refused(
    tmp_path: Path, content: bytes, mode: int, message: str
) -> None:
    secret(tmp_path, content, mode)
    text = "\n".join(problems(tmp_path, "", AUTHGW_CACHE__URL_FILE="secret"))
    assert text.startswith("AUTHGW_CACHE__URL_FILE: ")
    assert message in text
    assert "hush" not in text


def test_missing_secret_file_or_directory_is_refused(tmp_path: Path) -> None:
    for name, message in (("absent", "does not exist"), (".", "is a directory"), ("", "is empty")):
        assert message in "\n".join(problems(tmp_path, "", AUTHGW_CACHE__URL_FILE=name))


def test_secret_and_its_file_are_exclusive(tmp_path: Path) -> None:
    secret(tmp_path, b"redis://redis/0")
    both = {"AUTHGW_CACHE__URL": "redis://redis/0", "AUTHGW_CACHE__URL_FILE": "secret"}
    message = "AUTHGW_CACHE__URL_FILE: cache.url: is also set by AUTHGW_CACHE__URL: keep one"
    assert message in problems(tmp_path, "", **both)


def test_configuration_file_from_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "elsewhere" / "main.yml"
    other.parent.mkdir()
    other.write_text("server: {port: 1}")
    (tmp_path / "config.yml").write_text("server: {port: 2}")
    monkeypatch.chdir(tmp_path)

    def load_file(file: Path | None, **environ: str) -> LoadedConfig:
        return load(file, environ)

    assert load_file(None).settings.server.port == 2
    config = load_file(None, AUTHGW_CONFIG="elsewhere/main.yml")
    assert (config.settings.server.port, config.file, config.directory) == (1, other, other.parent)
    configured = load_file(Path("config.yml"), AUTHGW_CONFIG="elsewhere/main.yml")
    assert configured.settings.server.port == 2
    with pytest.raises(ConfigError, match=r"absent\.yml does not exist"):
        load_file(None, AUTHGW_CONFIG="absent.yml")
    with pytest.raises(ConfigError, match="is a directory"):
        load_file(None, AUTHGW_CONFIG="elsewhere")


@pytest.mark.parametrize("name", ["config.yaml", "Config.yml", "authgw.yml", "authgw.yaml"])
def test_file_with_similar_name_is_not_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("rules: [{allow: 'group:admins'}]")
    with pytest.raises(ConfigError, match=f"{name} is not read: rename it to config.yml"):
        load(None, {})
    assert load(Path(name), {}).rules is not None
    assert load(None, {"AUTHGW_CONFIG": name}).rules is not None
    (tmp_path / "config.yml").write_text("server: {port: 1}")
    assert (
        f"{name} is not read, since config.yml exists: remove one of them."
        in load(None, {}).warnings
    )


def test_dangling_symlink_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yml").symlink_to("gone.yml")
    with pytest.raises(ConfigError, match="does not exist"):
        load(None, {})


def test_directory_instead_of_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yml").mkdir()
    with pytest.raises(ConfigError, match="is a directory"):
        load(None, {})


def test_warning_for_empty_file(tmp_path: Path) -> None:
    for text in ("", "# nothing\n", "---\n", "{}"):
        assert "config.yml is empty" in loaded(tmp_path, text).warnings[0]


def deployment_files() -> list[Path]:
    """Return every file that could set variables for a gateway."""
    root_files = ["Dockerfile", "docker-compose.yml", "Procfile", "Makefile"]
    files = [path for name in ("examples", "tools", "bench") for path in (ROOT / name).rglob("*")]
    return [*(ROOT / name for name in root_files), *(path for path in files if path.is_file())]


def test_variables_in_examples_are_known() -> None:
    names = {
        name
        for path in deployment_files()
        if path.suffix != ".pyc"
        for name in re.findall(r"AUTHGW_[A-Z0-9_]*[A-Z0-9]", path.read_text())
    }
    assert "AUTHGW_SERVER__TRUSTED_PROXIES" in names
    environment = read_environment(
        {name: "1" for name in names if name not in known_variables()}, ROOT
    )
    assert environment.source.problems == []


def test_known_variables_match_keys() -> None:
    names = known_variables()
    assert {"AUTHGW_RULES", "AUTHGW_CACHE__URL_FILE", "AUTHGW_SERVER__PORT"} <= set(names)
    files = [name for name, variable in names.items() if variable.from_file]
    assert files == ["AUTHGW_CACHE__URL_FILE"]
