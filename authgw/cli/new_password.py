"""New passwords of users: typed, read from standard input, or generated."""

import secrets
import string
import sys

import click

from authgw.core.limits import MAX_PASSWORD_LINE_BYTES
from authgw.identity import passwords

_WORD_LENGTH = 4  # letters; five words have 94 bits
_MIN_WORDS = 5


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
