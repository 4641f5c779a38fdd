"""Environment of a running gateway and of its commands: read or refused, never ignored."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import AUTHGW, ask, authgw, free_port, make_gateway

MISSPELT = {"AUTHGW_SERVER_PORT": "9000"}
UNKNOWN_VARIABLE = "AUTHGW_SERVER_PORT: unknown variable: did you mean AUTHGW_SERVER__PORT?"


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve"],
        ["config", "check"],
        ["doctor"],
        ["rules", "explain", "GET", "https://a.test/"],
        ["user", "list"],
        ["user", "add", "alice", "--generate"],
        ["client", "add", "shop"],
        ["key", "init"],
        ["key", "add"],
        ["session", "list"],
    ],
)
def test_every_command_refuses_an_unknown_variable(tmp_path: Path, arguments: list[str]) -> None:
    done = authgw(tmp_path, *arguments, **MISSPELT)
    assert done.returncode == 1
    assert UNKNOWN_VARIABLE in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_commands_without_configuration_ignore_unknown_variables(tmp_path: Path) -> None:
    for arguments in (["--version"], ["--help"], ["serve", "--help"]):
        assert authgw(tmp_path, *arguments, **MISSPELT).returncode == 0


def test_rules_of_the_environment_close_the_gateway(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path / "closed", AUTHGW_RULES='[{allow: "group:admins"}]')
    environ = {
        "X-Original-URL": "https://app.example.com/",
        "X-Original-Method": "GET",
        "X-Original-Host": "app.example.com",
    }

    def status(groups: list[str]) -> int:
        bearer = {"Authorization": f"Bearer {gateway.login(groups=groups)['access']}"}
        return ask(gateway.port, "GET", "/authenticate", {**environ, **bearer}).status

    try:
        gateway.start()
        assert (status(["users"]), status(["admins"])) == (403, 200)
    finally:
        gateway.kill()


def test_the_first_log_line_names_the_configuration(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path / "first", AUTHGW_HOME="/", AUTHGW_LOGGING__MODE="json")
    (gateway.folder / "config.yml").write_text("rules: [{allow: authenticated}]\n")
    try:
        gateway.start()
    finally:
        gateway.kill()
    first, second = [json.loads(line) for line in gateway.log.splitlines()[:2]]
    assert first["level"] == "info"
    assert (
        f"configuration {gateway.folder}/config.yml; 1 rule, 0 users, 1 client, sessions"
        in (first["message"])
    )
    assert second["message"] == "Ignored variables, which set nothing: AUTHGW_HOME."


def test_a_start_without_a_configuration_file_is_logged_first(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path / "bare", AUTHGW_CACHE__URL="redis://127.0.0.1:1/0")
    created = authgw(gateway.folder, "key", "init", AUTHGW_CACHE__URL="redis://127.0.0.1:1/0")
    assert created.returncode == 0
    try:
        gateway.start()
    finally:
        gateway.kill()
    # Before the warning that Redis is unavailable.
    assert (
        f"no config.yml in {gateway.folder}, defaults apply; no rules"
        in gateway.log.splitlines()[0]
    )
    checked = authgw(gateway.folder, "config", "check")
    assert f"note: no config.yml in {gateway.folder}, defaults apply" in checked.stderr


def test_the_environment_names_the_file_of_every_command(tmp_path: Path) -> None:
    (tmp_path / "main.yml").write_text("server: {prot: 1}")
    named = {"AUTHGW_CONFIG": "main.yml"}
    assert "main.yml:1: server.prot" in authgw(tmp_path, "config", "check", **named).stderr
    (tmp_path / "other.yml").write_text("server: {port: 1}")
    done = authgw(tmp_path, "--config", "other.yml", "config", "check", **named)
    assert done.returncode == 0
    missing = authgw(tmp_path, "serve", AUTHGW_CONFIG="absent.yml")
    assert (missing.returncode, "absent.yml does not exist" in missing.stderr) == (1, True)


def test_a_rule_that_no_login_reaches_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(
        "login: {url: 'https://auth.example.com/login', cookie_domain: example.com}\n"
        "rules: [{host: app.other.lan, allow: authenticated}]\n"
    )
    done = authgw(tmp_path, "config", "check")
    assert done.returncode == 0
    assert (
        "warning: config.yml:2: rules[0].host: browsers cannot log in at app.other.lan"
        in done.stderr
    )


@pytest.mark.parametrize(
    ("host", "port", "output"),
    [
        ("127.0.0.1", "taken", "server.port: another process uses 127.0.0.1:{port} already"),
        ("192.0.2.1", "free", "server.host: cannot listen on 192.0.2.1 "),
        ("no-such-host.invalid", "free", "server.host: cannot listen on no-such-host.invalid"),
    ],
)
def test_an_unusable_listen_address_is_reported_as_a_sentence(
    tmp_path: Path, host: str, port: str, output: str
) -> None:
    gateway = make_gateway(tmp_path / "one")
    number = str(gateway.port if port == "taken" else free_port())
    other = {"AUTHGW_SERVER__PORT": number, "AUTHGW_SERVER__HOST": host}
    try:
        gateway.start()
        done = authgw(tmp_path, "serve", AUTHGW_CACHE__URL="embedded://memory", **other)
    finally:
        gateway.kill()
    assert done.returncode == 1
    assert output.format(port=number) in done.stderr
    assert "Errno" not in done.stderr


def _can_mount() -> bool:
    return (
        subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not _can_mount(), reason="only root mounts")
def test_a_secret_on_a_read_only_mount_is_accepted_with_a_warning(tmp_path: Path) -> None:
    secrets = tmp_path / "mounted"
    secrets.mkdir()
    (secrets / "jwt_key").write_text("x" * 40)
    (secrets / "jwt_key").chmod(0o444)
    (tmp_path / "config.yml").write_text(
        f"auth: {{algorithm: HS256, secret_file: {secrets}/jwt_key}}\n"
    )
    refused = authgw(tmp_path, "config", "check")
    assert (refused.returncode, "is accessible to every account" in refused.stderr) == (1, True)
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    for arguments in (["config", "check"], ["doctor"]):
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", mount, str(secrets), str(AUTHGW), *arguments],
            cwd=tmp_path,
            text=True,
            capture_output=True,
            check=False,
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
        assert f"{secrets}/jwt_key is accessible to every account" in output
