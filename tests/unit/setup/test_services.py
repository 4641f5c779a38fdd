"""The unit and the compose file of `authgw init` are like those of the repository."""

import difflib
from pathlib import Path
from typing import Any

import pytest
import yaml

from authgw.config.schema import Settings
from authgw.setup.answers import AnswerError, Answers, ProtectedApp, PublicDomain
from authgw.setup.services import Machine, check_service, gateway_commands, render_service

ROOT = Path(__file__).parents[3]
APPS = (ProtectedApp("app.example.com", "127.0.0.1", 3000),)
MACHINE = Machine("/etc/authgw", "/opt/authgw/bin/authgw", (0, 0), "1.2.3")


def answers(service: str) -> Answers:
    return Answers("caddy", PublicDomain("example.com"), APPS, service=service, port=8090)


def rendered(service: str, machine: Machine = MACHINE) -> dict[str, str]:
    settings = Settings.model_validate({"server": {"port": 8090}})
    return render_service(answers(service), settings, machine)


def test_without_a_service_there_is_no_file() -> None:
    assert rendered("none") == {}


def test_the_unit_is_that_of_the_example() -> None:
    text = rendered("systemd")["authgw.service"]
    example = (ROOT / "examples" / "systemd" / "authgw.service").read_text()
    lines = difflib.ndiff(example.splitlines(), text.splitlines())
    changes = [line for line in lines if line[0] in "+-" and line[2] != "#"]
    assert sorted(changes) == [
        "+ ReadOnlyPaths=/etc/authgw/caddy",
        "+ ReadWritePaths=/etc/authgw",
        "- StateDirectory=authgw",
        "- StateDirectoryMode=0700",
    ]


def test_the_container_is_that_of_the_compose_file() -> None:
    made = yaml.safe_load(rendered("compose")["docker-compose.yml"])["services"]["authgw"]
    shipped: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    service = shipped["services"]["authgw"]
    same = ("read_only", "cap_drop", "security_opt", "restart", "stop_grace_period", "healthcheck")
    assert {key: made[key] for key in same} == {key: service[key] for key in same}
    names = {"AUTHGW_SERVER__HOST", "AUTHGW_SERVER__PORT", "AUTHGW_LOGGING__MODE"}
    assert set(made["environment"]) == names
    # The health check of the image reads the port from the environment.
    assert made["environment"]["AUTHGW_SERVER__PORT"] == "8090"
    assert made["image"] == "authgw:1.2.3"
    assert made["build"].endswith("#v1.2.3")


@pytest.mark.parametrize(
    ("owner", "account", "is_changed"),
    [((0, 0), "10001:10001", True), ((1000, 1001), "1000:1001", False)],
)
def test_a_container_does_not_run_as_root(
    owner: tuple[int, int], account: str, is_changed: bool
) -> None:
    machine = Machine("/etc/authgw", "/usr/bin/authgw", owner, "1.2.3")
    made = yaml.safe_load(rendered("compose", machine)["docker-compose.yml"])["services"]["authgw"]
    assert made["user"] == account
    commands = list(gateway_commands(answers("compose"), machine))
    assert ("sudo chown -R 10001:10001 /etc/authgw" in commands) is is_changed


def test_the_image_has_this_account() -> None:
    assert "\nUSER 10001:10001\n" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("directory", "program", "message"),
    [
        (
            "/home/me/authgw",
            "/usr/bin/authgw",
            "/home/me/authgw is in a home or temporary directory",
        ),
        ("/var/tmp/authgw", "/usr/bin/authgw", "which the unit hides"),  # noqa: S108  refused
        ("/root", "/usr/bin/authgw", "choose a DIRECTORY such as /etc/authgw"),
        ("/etc/authgw", "/root/.local/bin/authgw", "PIPX_HOME=/opt/pipx"),
    ],
)
def test_a_unit_needs_places_that_its_account_can_read(
    directory: str, program: str, message: str
) -> None:
    machine = Machine(directory, program, (0, 0), "1.2.3")
    with pytest.raises(AnswerError) as error:
        check_service(answers("systemd"), machine)
    assert message in str(error.value)
    for service in ("none", "compose"):
        check_service(answers(service), machine)
    check_service(answers("systemd"), MACHINE)
