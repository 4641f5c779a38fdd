"""The text about the steps that are left after the files were written."""

from collections.abc import Iterator, Sequence

from authgw.recipes.registry import RECIPES
from authgw.setup.answers import Answers
from authgw.setup.services import Machine, gateway_commands
from authgw.setup.sites import certificate_path, needs_certificate, start_command


def remaining_steps(answers: Answers, machine: Machine) -> str:
    """Return the two steps that are left, and the command that starts the gateway."""
    first = _local_app(answers) if answers.domain.is_plain else _names(answers, machine)
    proxy = RECIPES[answers.proxy].proxy
    return "\n".join(
        [
            "Two things are left to do:",
            *_numbered(1, first),
            *_numbered(
                2, [f"Let {proxy} use the site:", start_command(answers, machine.directory)]
            ),
            "Start the gateway:",
            *(f"     {command}" for command in gateway_commands(answers, machine)),
            f"Then open {answers.domain.url_of(answers.apps[0].host)} and log in.",
        ]
    )


def _local_app(answers: Answers) -> Sequence[str]:
    app = answers.apps[0]
    return [
        f"Start your app at {_listed([app.upstream for app in answers.apps])}. A sample app is:",
        f"authgw sample-upstream --port {app.upstream_port}",
    ]


def _names(answers: Answers, machine: Machine) -> Sequence[str]:
    names = f"Point the DNS names {_listed(answers.hosts)} at this machine"
    if not needs_certificate(answers):
        return [f"{names}; the proxy gets their certificates by itself."]
    path = certificate_path(answers, machine.directory)
    if answers.proxy == "haproxy":
        files = f"{path}.pem, certificate and key in a single file"
    else:
        files = f"{path}.crt, and its key into {path}.key"
    return [
        f"{names}, and put their certificate into",
        f"{files}. A placeholder is there, of which browsers warn.",
    ]


def _listed(names: Sequence[str]) -> str:
    *others, last = dict.fromkeys(names)
    return f"{', '.join(others)} and {last}" if others else last


def _numbered(number: int, lines: Sequence[str]) -> Iterator[str]:
    first, *others = lines
    yield f"  {number}. {first}"
    yield from (f"     {line}" for line in others)
