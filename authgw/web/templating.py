"""Renders the templates of the pages, their stylesheet and their icon.

Every value of a context is escaped. Escaping does not make an address safe to follow: as `rd` of
`loop.html`, `home` of `account.html`, `login_url` of `denied.html` and `logout` a caller passes
only addresses that it made or compared with the redirect hosts. A value that is neither a path nor
an http(s) address is not rendered as a link. A missing name raises UndefinedError.
"""

import re
from base64 import b64encode
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from authgw.web.theme import Accent, accent_of

if TYPE_CHECKING:
    from jinja2 import Environment, Template

# A path on this host (not `//host`) or an absolute address, without characters that browsers drop.
_WEB_LINK = re.compile(r"(?:/(?![/\\])|https?://)[^\s\x00-\x1f\\]*", re.IGNORECASE)

# Appends the URL's fragment, which browsers never send, to the forms and links that lead on.
_SCRIPT = files("authgw.web").joinpath("static/fragment.js").read_text(encoding="utf-8").strip()
# The source of the script in a Content-Security-Policy (CSP Level 3 section 6.7.3.3).
SCRIPT_SOURCE = f"'sha256-{b64encode(sha256(_SCRIPT.encode()).digest()).decode()}'"


@dataclass(frozen=True, slots=True)
class PageTheme:
    """Appearance that the operator configures: product name and accent colour, `#rrggbb`."""

    product: str = "authgw"
    color: str = "#0a7a70"


class PageRenderer:
    """Renders all pages, the stylesheet and the icon with a theme."""

    def __init__(self, theme: PageTheme) -> None:
        """Prepare the stylesheet; the templates are compiled on use.

        Raises:
            ValueError: the accent is not `#` and six hexadecimal digits.
        """
        self._product = theme.product
        self._accent = accent_of(theme.color)
        self._stylesheet = _stylesheet(self._accent)

    def compile(self) -> None:
        """Compile the templates now, as this takes long enough to delay other requests."""
        _ = self._templates

    @cached_property
    def _environment(self) -> "Environment":
        # A replica that shows no page needs neither the library nor the templates.
        from jinja2 import Environment, PackageLoader, StrictUndefined

        environment = Environment(
            loader=PackageLoader("authgw.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.globals["product"] = self._product
        environment.globals["script"] = _SCRIPT
        environment.tests["web_link"] = _is_web_link
        return environment

    @cached_property
    def _templates(self) -> "dict[str, Template]":
        return {
            name: self._environment.get_template(name)
            for name in self._environment.list_templates(["html"])
            if not name.startswith("_")
        }

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

    @cached_property
    def icon(self) -> str:
        """The icon of all pages, an SVG image at `base` + `/icon.svg`."""
        template = self._environment.get_template("icon.svg")
        return template.render(light=self._accent.edge_light, dark=self._accent.edge_dark)


def _stylesheet(accent: Accent) -> str:
    colors = accent._asdict().items()
    declared = "".join(f"--{name.replace('_', '-')}:{value};" for name, value in colors)
    plain = files("authgw.web").joinpath("static/style.css").read_text(encoding="utf-8")
    return f":root{{{declared}}}\n{plain}"


def _is_web_link(value: object) -> bool:
    # str() raises UndefinedError for a missing name, as everywhere else.
    return _WEB_LINK.fullmatch(str(value)) is not None
