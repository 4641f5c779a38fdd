"""Help texts: every command has an example that is a valid command line, in plain English."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from authgw.cli import main

Words = tuple[str, ...]


def all_commands(group: click.Group, above: Words = ()) -> Iterator[tuple[Words, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*above, name), command
        if isinstance(command, click.Group):
            yield from all_commands(command, (*above, name))


COMMANDS = {(): main, **dict(all_commands(main))}
WORDS = re.compile(
    r"\b(ask|asks|answer|answers|say|says|tell|tells|told|know|knows|alive|dead|live|person|people"
    r"|folder|whoever|nobody|everybody|everyone|somebody|one|ones|none|sign in|log-in|log-ins"
    r"|is no|stands|good for|beside)\b",
    re.IGNORECASE,
)


def help_of(words: Words, option: str = "--help") -> str:
    result = CliRunner().invoke(main, [*words, option])
    assert result.exit_code == 0
    return result.output


def example_lines(words: Words) -> list[str]:
    _, _, examples = help_of(words).partition("\n  Example")
    return [line.strip() for line in examples.splitlines()[1:] if line.strip()]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_short_and_long_option_print_the_same_help(words: Words) -> None:
    assert help_of(words, "-h") == help_of(words)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_is_plain_english(words: Words) -> None:
    text = help_of(words)
    assert WORDS.findall(text) == []
    command = COMMANDS[words]
    options = [option for option in command.params if isinstance(option, click.Option)]
    for described in (command.help, *(option.help for option in options)):
        assert re.fullmatch(r"[A-Z-].*\.", (described or "").strip(), re.DOTALL), described
    # The first sentences of the commands fit into the list of their group.
    _, _, listed = text.partition("\nCommands:\n")
    assert "..." not in listed


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_examples_are_valid_command_lines(
    words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dump").touch()
    lines = example_lines(words)
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "authgw"
        path: Words = ()
        command: click.Command = main
        context = main.make_context("authgw", arguments)
        while isinstance(command, click.Group):
            rest = [*context._protected_args, *context.args]
            name, child, arguments = command.resolve_command(context, rest)
            assert name is not None
            assert child is not None
            path, command = (*path, name), child
            context = command.make_context(name, arguments, parent=context)
        # The example of a group is of a subcommand.
        assert path[: len(words)] == words


def test_all_groups_and_commands_are_covered() -> None:
    assert {("user", "remove"), ("client", "rotate"), ("key", "list"), ("nginx", "write")} <= set(
        COMMANDS
    )
