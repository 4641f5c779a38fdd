"""The service that keeps the gateway running: a systemd unit, or a compose file."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from authgw.config.schema import Settings
from authgw.recipes.rendering import templates
from authgw.setup.answers import AnswerError, Answers

SERVICES = ("systemd", "compose", "none")
# The account of the image, and of the unit.
_IMAGE_ACCOUNT = 10001
_UNIT_ACCOUNT = "authgw"
# ProtectHome= and PrivateTmp= of the unit hide these directories.
_HIDDEN = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108  refused


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine of the installation.

    Attributes:
        directory: The absolute path of the installation.
        program: The absolute path of the command `authgw`.
        owner: User and group id of the owner of the directory.
        version: The version of authgw.
    """

    directory: str
    program: str
    owner: tuple[int, int]
    version: str

    @property
    def container_account(self) -> tuple[int, int]:
        """The account of a container: the owner of the files, or that of the image for root."""
        return self.owner if self.owner[0] else (_IMAGE_ACCOUNT, _IMAGE_ACCOUNT)


def check_service(answers: Answers, machine: Machine) -> None:
    """Check that a systemd unit can reach the program and the directory.

    Raises:
        AnswerError: Another account than the owner cannot reach them.
    """
    if answers.service != "systemd":
        return
    for path, remedy in (
        (machine.directory, "choose a DIRECTORY such as /etc/authgw"),
        (
            machine.program,
            "install it for all accounts, as by PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin "
            "pipx install authgw",
        ),
    ):
        if f"{path}/".startswith(_HIDDEN):
            raise AnswerError(
                f"{path} is in a home or temporary directory, which the unit hides: {remedy}"
            )


def render_service(answers: Answers, settings: Settings, machine: Machine) -> dict[str, str]:
    """Return the text of the service's file by its name; nothing without a service."""
    name = {"systemd": "authgw.service", "compose": "docker-compose.yml"}.get(answers.service)
    if name is None:
        return {}
    text = _ENVIRONMENT.get_template(name).render(
        directory=machine.directory,
        program=machine.program,
        proxy=answers.proxy,
        port=settings.server.port,
        version=machine.version,
        account=":".join(map(str, machine.container_account)),
    )
    return {name: text}


def gateway_commands(answers: Answers, machine: Machine) -> Iterator[str]:
    """Yield the commands that start the gateway."""
    directory = shlex.quote(machine.directory)
    if answers.service == "none":
        yield f"authgw --config {directory}/config.yml serve"
    elif answers.service == "compose":
        if machine.container_account != machine.owner:
            yield f"sudo chown -R {_IMAGE_ACCOUNT}:{_IMAGE_ACCOUNT} {directory}"
        yield f"docker compose -f {directory}/docker-compose.yml up -d"
    else:
        yield f"sudo useradd --system --home-dir {directory} {_UNIT_ACCOUNT}"
        yield f"sudo chown -R {_UNIT_ACCOUNT}: {directory}"
        yield f"sudo cp {directory}/authgw.service /etc/systemd/system/"
        yield "sudo systemctl enable --now authgw"


_ENVIRONMENT = templates("", "authgw.setup")
