"""The dialog of `authgw init`: asks for the answers that no option gave."""

import getpass
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import click

from authgw.cli import output
from authgw.cli.new_password import generate_password, prompt_password, read_password_line
from authgw.config.schema import PasswordSettings
from authgw.identity import passwords
from authgw.setup.answers import (
    AnswerError,
    Answers,
    ProtectedApp,
    PublicDomain,
    StoreAnswer,
    contradictions,
    parse_app,
    parse_domain,
    parse_store,
    parse_user,
)
from authgw.setup.services import SERVICES
from authgw.setup.sites import LAYOUTS

T = TypeVar("T")
_ADMIN = "admin"


def _option_type(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Return the type of an option or prompt whose values `parse` reads."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except AnswerError as error:
            raise click.BadParameter(f"{error}.") from None

    return convert


DOMAIN = _option_type(parse_domain)
APP = _option_type(parse_app)
USER = _option_type(parse_user)
STORE = _option_type(parse_store)
PROXY = click.Choice(tuple(LAYOUTS))
SERVICE = click.Choice(SERVICES)


@dataclass(frozen=True, slots=True)
class GivenOptions:
    """The options of the command line; None and an empty list are not given."""

    proxy: str | None
    domain: PublicDomain | None
    protect: Sequence[ProtectedApp]
    user: str | None
    store: StoreAnswer | None
    service: str | None
    port: int

    def check_complete(self) -> None:
        """Check that required options are missing only if a terminal can ask for them.

        Raises:
            UsageError: Options are missing; the message names them.
        """
        missing = [f"--{name}" for name in _REQUIRED if not getattr(self, name)]
        if missing and not sys.stdin.isatty():
            raise click.UsageError(f"there is no terminal to ask for it: give {', '.join(missing)}")

    def completed(self) -> tuple[Answers, str]:
        """Ask for what is missing, and return the answers and the name of the first user.

        The dialog includes the optional answers if no required answer is given.

        Raises:
            BadParameter: Answers contradict each other.
        """
        is_whole = not any(getattr(self, name) for name in _REQUIRED)
        proxy = self.proxy or click.prompt("Proxy", type=PROXY, default=_installed_proxy())
        domain = self.domain or click.prompt(
            "Your domain, or localhost to try authgw on this machine",
            value_proc=DOMAIN,
            default="localhost",
        )
        apps = tuple(self.protect) or tuple(_ask_apps(domain))
        user = self.user or click.prompt("First user", value_proc=USER, default=_account_name())
        store, service = self.store, self.service
        if is_whole:
            store = store or click.prompt("Session store", value_proc=STORE, default="sqlite")
            service = service or click.prompt("Service", type=SERVICE, default="none")
        answers = Answers(proxy, domain, apps, store or StoreAnswer(), service or "none", self.port)
        for option, message in contradictions(answers):
            raise click.BadParameter(f"{message}.", param_hint=f"'{option}'")
        return answers, user


_REQUIRED = ("proxy", "domain", "protect", "user")


def _installed_proxy() -> str:
    """Return the first proxy that this machine has, or the first of all."""
    return next((name for name in LAYOUTS if shutil.which(name)), next(iter(LAYOUTS)))


def _account_name() -> str:
    """Return the name of the account that runs this command; `admin` for root."""
    try:
        name = parse_user(getpass.getuser())
    except (KeyError, OSError, AnswerError):
        return _ADMIN
    return _ADMIN if name == "root" else name


def _ask_apps(domain: PublicDomain) -> list[ProtectedApp]:
    host = f"app.{domain.name}" if domain.cookie_domain else domain.name
    question = "Host to protect, and the address of its app"
    apps = [click.prompt(question, value_proc=APP, default=f"{host}=127.0.0.1:3000")]
    # On localhost there is a single host.
    while domain.cookie_domain:
        text = click.prompt("Another (or Enter to go on)", default="", show_default=False)
        if not text:
            break
        try:
            apps.append(parse_app(text))
        except AnswerError as error:
            output.note(f"Error: {error}.")
    return apps


def choose_password(user: str, *, from_stdin: bool) -> tuple[str, bool]:
    """Return a password for the first user, and True if it was generated.

    Raises:
        WeakPasswordError: The password of standard input must not be used.
    """
    min_length = PasswordSettings().min_length
    if from_stdin:
        text = read_password_line()
        passwords.check_new(text, min_length=min_length, about=(user,))
        return text, False
    if not sys.stdin.isatty():
        return generate_password(min_length), True
    while True:
        text = prompt_password(f"Password of {user}")
        try:
            passwords.check_new(text, min_length=min_length, about=(user,))
        except passwords.WeakPasswordError as error:
            output.note(f"Error: {error}")
        else:
            return text, False
