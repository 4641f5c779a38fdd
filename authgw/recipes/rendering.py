"""Rendering of templates, and the interface of a proxy's recipe."""

from collections.abc import Callable
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from authgw.config.schema import Settings


@dataclass(frozen=True, slots=True)
class ProxyRecipe:
    """The configuration of a proxy for this gateway.

    Attributes:
        proxy: the name of the proxy, for messages.
        render: returns the text of each file by its path in the operator's folder.
        example: a folder that operators write the files to.
        load: the sentence that tells how the proxy loads the files.
    """

    proxy: str
    render: Callable[[Settings], dict[str, str]]
    example: str
    load: str


def templates(folder: str, package: str = "authgw.recipes") -> Environment:
    """Return the environment of the templates in `templates/<folder>` of a package."""
    return Environment(
        loader=PackageLoader(package, f"templates/{folder}"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
