"""Renders the templates of the pages and their stylesheet.

Every value of a context is escaped. Escaping does not make an address safe to follow: as `rd` of
`loop.html`, `home` of `account.html`, `login_url` of `denied.html` and `logout` a caller passes
only addresses that it made or compared with the redirect hosts. A value that is neither a path nor
an http(s) address is not rendered as a link. A missing name raises UndefinedError.
"""

import re
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from authgw.web.theme import accent_of

# A path on this host (not `//host`) or an absolute address, without characters that browsers drop.
_WEB_LINK = re.compile(r"(?:/(?![/\\])|https?://)[^\s\x00-\x1f\\]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PageTheme:
    """Appearance that the operator configures: product name and accent colour, `#rrggbb`."""

    product: str = "authgw"
    color: str = "#0a7a70"


class PageRenderer:
    """Renders all pages and the stylesheet with a theme."""

    def __init__(self, theme: PageTheme) -> None:
        """Compile the templates.

        Raises:
            ValueError: the accent is not `#` and six hexadecimal digits.
        """
        environment = Environment(
            loader=PackageLoader("authgw.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.globals["product"] = theme.product
        environment.tests["web_link"] = _is_web_link
        self._templates = {
            name: environment.get_template(name)
            for name in environment.list_templates()
            if not name.startswith("_")
        }
        self._stylesheet = _stylesheet(theme.color)

    def render(self, name: str, /, *, base: str, **context: object) -> str:
        """Return the page of this name, such as `login.html`.

        `base` is the path or absolute address of the login page, without a trailing slash.

        Raises:
            KeyError: the page does not exist.
            jinja2.UndefinedError: the context lacks a name that the page uses.
        """
        return self._templates[name].render(base=base, **context)

    @property
    def stylesheet(self) -> str:
        """The stylesheet that all pages load from `base` + `/style.css`."""
        return self._stylesheet


def _stylesheet(color: str) -> str:
    colors = accent_of(color)._asdict().items()
    declared = "".join(f"--{name.replace('_', '-')}:{value};" for name, value in colors)
    plain = files("authgw.web").joinpath("static/style.css").read_text(encoding="utf-8")
    return f":root{{{declared}}}\n{plain}"


def _is_web_link(value: object) -> bool:
    # str() raises UndefinedError for a missing name, as everywhere else.
    return _WEB_LINK.fullmatch(str(value)) is not None
