"""Changes to the shipped site, with the finding of `authgw doctor --nginx` for each."""

from dataclasses import dataclass
from pathlib import Path

PASS = "        proxy_pass http://sample;\n"
_SERVER = "    location / {\n"
SITE = "    include site.conf;\n"


@dataclass(frozen=True)
class Case:
    """One change to the shipped site; `kind` and `said` are those of the finding."""

    file: str
    old: str
    new: str
    said: str
    kind: str = "hole"
    more: tuple[tuple[str, str, str], ...] = ()
    config: str = ""

    def write(self, folder: Path) -> None:
        """Change the files of a copy of the shipped site."""
        for file, old, new in ((self.file, self.old, self.new), *self.more):
            text = (folder / file).read_text()
            assert old in text, f"{file} lacks {old}"
            (folder / file).write_text(text.replace(old, new, 1))


def beside(lines: str, said: str, kind: str = "hole") -> Case:
    """Make a case of lines beside proxy_pass of the app, after identity.conf."""
    return Case("site.conf", PASS, f"        {lines}\n{PASS}", said, kind)


def instead(lines: str, said: str, kind: str = "hole") -> Case:
    """Make a case of lines in the place of all that the app's location holds."""
    old = f"        include authgw/identity.conf;\n{_COMMENT}{PASS}"
    return Case("site.conf", old, f"        {lines}\n", said, kind)


_COMMENT = (
    "        # Without a URI part: with one, NGINX would decode the path that the gateway "
    "saw raw.\n"
)


def in_server(lines: str, said: str, kind: str = "hole") -> Case:
    """Make a case of lines in the protected server, before its `location /`."""
    return Case("site.conf", _SERVER, f"    {lines}\n{_SERVER}", said, kind)


def in_http(lines: str, said: str, kind: str = "hole") -> Case:
    """Make a case of lines in the http block, after the recipe's files."""
    return Case("nginx.conf", SITE, f"    {lines}\n{SITE}", said, kind)


def identity(old: str, new: str, said: str, kind: str = "hole") -> Case:
    """Make a case of another identity.conf."""
    return Case("authgw/identity.conf", old, new, said, kind)


def public(lines: str) -> str:
    """Return a public location of the app."""
    return f"location /public/ {{ auth_request off; {lines} }}"
