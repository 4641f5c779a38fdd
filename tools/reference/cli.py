"""Commands, from click's tree."""

import inspect
import textwrap
from collections.abc import Iterator

import click

from authgw.cli import main
from tools.reference.markdown import block, code, joined, table

_KEPT_LINES = "\b"  # a paragraph after it keeps its lines, in the help of click
# Every command has them: the page describes them once.
_COMMON = frozenset({"config", "help"})


def commands() -> str:
    """Return a section for each command, and an entry for each of its subcommands."""
    return joined(
        *_described(main, click.Context(main, info_name="authgw", **main.context_settings))
    )


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
    command = context.command
    description, examples = _text(command.help), _text(command.epilog)
    if isinstance(command, click.Group):
        return joined(title, description)
    usage = f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}"
    return joined(title, description, block("text", usage), _options(context), examples)


def _text(text: str | None) -> str:
    """Return a text of click as Markdown."""
    paragraphs = inspect.cleandoc(text or "").partition("\f")[0].split("\n\n")
    return joined(*map(_paragraph, paragraphs))


def _paragraph(text: str) -> str:
    mark, _, lines = text.partition("\n")
    if mark.strip() != _KEPT_LINES:
        return text
    title, _, rest = lines.partition("\n")
    if title.endswith(":"):
        return joined(title, block("sh", textwrap.dedent(rest)))
    return block("text", lines)


def _options(context: click.Context) -> str:
    options = [each for each in context.command.params if each.name not in _COMMON]
    records = [record for each in options if (record := each.get_help_record(context))]
    # Arguments without a help text are explained by the text of their command.
    rows = [(code(names), text) for names, text in records if text]
    return table(("option", "meaning"), rows) if rows else ""
