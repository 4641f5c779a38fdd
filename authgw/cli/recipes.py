"""`authgw nginx`, `traefik`, `caddy`, `envoy` and `haproxy`: write a proxy's configuration."""

import os
from collections.abc import Callable
from pathlib import Path

import click

from authgw.cli.errors import report_errors
from authgw.config.loader import LoadedConfig
from authgw.core.errors import OperatorError
from authgw.recipes.registry import RECIPES
from authgw.recipes.rendering import ProxyRecipe


def command_for(name: str) -> click.Group:
    """Return the command for the proxy with this name in `RECIPES`."""
    recipe = RECIPES[name]
    group = click.Group(name, help=f"{recipe.proxy}'s configuration for this gateway.")
    group.add_command(_write_command(recipe))
    return group


def _write_command(recipe: ProxyRecipe) -> click.Command:
    description = (
        f"Write the recipe's files for this configuration to DIRECTORY, such as {recipe.example}."
    )

    @click.command("write", help=description)
    @click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
    @click.option("--force", is_flag=True, help="Replace files that differ.")
    @click.pass_obj
    @report_errors
    def write(read: Callable[[], LoadedConfig], directory: Path, force: bool) -> None:
        _write_files(recipe, recipe.render(read().settings), directory, force=force)

    return write


def _write_files(
    recipe: ProxyRecipe, texts: dict[str, str], directory: Path, *, force: bool
) -> None:
    differing = sorted(name for name, text in texts.items() if _differs(directory / name, text))
    if differing and not force:
        raise OperatorError(
            f"{directory} holds other versions of {', '.join(differing)}: nothing was written; "
            "--force replaces them"
        )
    written = [name for name, text in texts.items() if _write(directory / name, text)]
    for name in written:
        click.echo(f"wrote {directory / name}")
    if not written:
        click.echo(f"{directory} is up to date.")
        return
    click.echo(recipe.load, err=True)


def _differs(file: Path, text: str) -> bool:
    return file.exists() and file.read_text(encoding="utf-8", errors="replace") != text


def _write(file: Path, text: str) -> bool:
    """Write the file unless its content is the same; return True if it was written."""
    if file.exists() and not _differs(file, text):
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    # The proxy may load the file at any moment and must not read an incomplete file.
    new = file.with_name(f".{file.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        os.replace(new, file)
    finally:
        new.unlink(missing_ok=True)
    return True
