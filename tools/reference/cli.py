"""Commands, from click's tree."""

import inspect
from collections.abc import Iterator

import click

from authgw.cli import main
from tools.reference.markdown import block, code, joined, table

# Every command has them: the page describes them once.
_COMMON = frozenset({"config", "help"})


def commands() -> str:
    """Return a section for each command, and an entry for each of its subcommands."""
    return joined(*_described(main, click.Context(main, info_name="authgw")))


def _described(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            inner = click.Context(command, parent=context, info_name=name)
            yield _command(inner)
            if isinstance(command, click.Group):
                yield from _described(command, inner)


def _command(context: click.Context) -> str:
    level = "#" * context.command_path.count(" ")
    title = f"#{level} {code(context.command_path)}"
    if isinstance(context.command, click.Group):
        return joined(title, _help(context.command))
    usage = f"{context.command_path} {' '.join(context.command.collect_usage_pieces(context))}"
    return joined(title, _help(context.command), block("text", usage), _options(context))


def _help(command: click.Command) -> str:
    """Return the help text; a paragraph after the mark of click keeps its lines."""
    paragraphs = inspect.cleandoc(command.help or "").partition("\f")[0].split("\n\n")
    return joined(*map(_paragraph, paragraphs), *([command.epilog] if command.epilog else []))


def _paragraph(text: str) -> str:
    first, _, rest = text.partition("\n")
    return block("text", rest) if first.strip() == "\b" else text


def _options(context: click.Context) -> str:
    options = [each for each in context.command.params if each.name not in _COMMON]
    records = [record for each in options if (record := each.get_help_record(context))]
    # Arguments without a help text are explained by the text of their command.
    rows = [(code(names), text) for names, text in records if text]
    return table(("option", "meaning"), rows) if rows else ""
