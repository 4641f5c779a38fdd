"""New passwords: generated, from stdin, or from a prompt."""

import secrets
import string
import sys
from collections.abc import Callable
from typing import Any

import click

from authgw.config.loader import LoadedConfig
from authgw.core.limits import MAX_PASSWORD_LINE_BYTES
from authgw.identity import passwords

_WORD_LENGTH = 4  # letters; five words have 94 bits
_MIN_WORDS = 5


def password_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command with the options that select the source of a new password."""
    stdin = click.option(
        "--password-stdin", is_flag=True, help="Read the password from a line of stdin."
    )
    generate = click.option("--generate", is_flag=True, help="Generate a password and print it.")
    return stdin(generate(command))


def new_password(
    loaded: LoadedConfig, about: tuple[str, ...], *, from_stdin: bool, generate: bool
) -> str:
    """Return a new password; `about` are texts that it must not resemble.

    Raises:
        UsageError: Both sources are selected, or the prompt has no terminal.
        WeakPasswordError: The password is too short or too easily guessed.
    """
    min_length = loaded.settings.auth.passwords.min_length
    if from_stdin and generate:
        raise click.UsageError("give either --password-stdin or --generate")
    if generate:
        return generate_password(min_length)
    if not from_stdin and not sys.stdin.isatty():
        raise click.UsageError(
            "no terminal for the password prompt: use --password-stdin or --generate"
        )
    text = read_password_line() if from_stdin else prompt_password()
    passwords.check_new(text, min_length=min_length, about=about)
    return text


def generate_password(min_length: int) -> str:
    """Return a random password of at least this length, made of short words."""
    count = max(_MIN_WORDS, -(-(min_length + 1) // (_WORD_LENGTH + 1)))
    words = (
        "".join(secrets.choice(string.ascii_lowercase) for _ in range(_WORD_LENGTH))
        for _ in range(count)
    )
    return "-".join(words)


def read_password_line() -> str:
    """Return the line of stdin.

    Raises:
        WeakPasswordError: The line is not UTF-8 text.
    """
    line = sys.stdin.buffer.readline(MAX_PASSWORD_LINE_BYTES)
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise passwords.WeakPasswordError("The password is not UTF-8 text.") from None


def prompt_password(text: str = "Password") -> str:
    """Prompt for a password twice, without showing it."""
    password: str = click.prompt(text, hide_input=True, confirmation_prompt="Repeat")
    return password
