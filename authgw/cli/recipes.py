"""`authgw nginx`, `traefik`, `caddy`, `envoy` and `haproxy`: write a proxy's configuration."""

import os
from collections.abc import Callable
from pathlib import Path

import click

from authgw.cli import output
from authgw.cli.errors import report_errors
from authgw.cli.options import examples, json_option
from authgw.config.loader import LoadedConfig
from authgw.core.errors import OperatorError
from authgw.recipes.registry import RECIPES
from authgw.recipes.rendering import ProxyRecipe


def command_for(name: str) -> click.Group:
    """Return the command for the proxy with this name in `RECIPES`."""
    recipe = RECIPES[name]
    group = click.Group(
        name,
        help=f"Write the configuration of {recipe.proxy} for this gateway.",
        epilog=_example(recipe),
    )
    group.add_command(_write_command(recipe))
    return group


def _write_command(recipe: ProxyRecipe) -> click.Command:
    description = (
        f"Write the files of the recipe for {recipe.proxy} to a directory.\n\n"
        "Header names, addresses and hosts are those of the configuration: write the files again "
        "when it changes."
    )

    @click.command("write", help=description, epilog=_example(recipe))
    @click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
    @click.option("--force", is_flag=True, help="Replace existing files that differ.")
    @json_option
    @click.pass_obj
    @report_errors
    def write(
        read: Callable[[], LoadedConfig], directory: Path, force: bool, as_json: bool
    ) -> None:
        written = _write_files(recipe.render(read().settings), directory, force=force)
        if as_json:
            output.json_object({"written": [str(path) for path in written]})
        else:
            _report(recipe, directory, written)

    return write


def _example(recipe: ProxyRecipe) -> str:
    return examples(f"authgw {recipe.proxy.lower()} write {recipe.example}")


def _write_files(texts: dict[str, str], directory: Path, *, force: bool) -> list[Path]:
    """Write the files that differ and return their paths."""
    differing = sorted(name for name, text in texts.items() if _differs(directory / name, text))
    if differing and not force:
        raise OperatorError(
            f"{directory} contains other versions of {', '.join(differing)}: nothing was written; "
            "use --force to replace them"
        )
    return [directory / name for name, text in texts.items() if _write(directory / name, text)]


def _report(recipe: ProxyRecipe, directory: Path, written: list[Path]) -> None:
    if not written:
        output.line(f"{directory} is up to date.")
        return
    for path in written:
        output.line(f"wrote {path}")
    output.note(recipe.load)


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
