"""Changes to the shipped site, each with the finding that `authgw doctor --nginx` must report."""

from dataclasses import dataclass
from pathlib import Path

PASS = "        proxy_pass http://sample;\n"
_SERVER = "    location / {\n"
SITE = "    include site.conf;\n"
PROTECTED = "    server_name localhost 127.0.0.1;\n"


@dataclass(frozen=True)
class DumpCase:
    """A change to the shipped site; `kind` and `message` are those of the finding."""

    file: str
    old: str
    new: str
    message: str
    kind: str = "hole"
    more: tuple[tuple[str, str, str], ...] = ()
    config: str = ""

    def write(self, directory: Path) -> None:
        """Change the files of a copy of the shipped site."""
        for file, old, new in ((self.file, self.old, self.new), *self.more):
            text = (directory / file).read_text()
            assert old in text, f"{file} lacks {old}"
            (directory / file).write_text(text.replace(old, new, 1))


def in_location(lines: str, message: str, kind: str = "hole") -> DumpCase:
    """Make a case of lines in the app's location, between identity.conf and proxy_pass."""
    return DumpCase("site.conf", PASS, f"        {lines}\n{PASS}", message, kind)


def replacing_location(lines: str, message: str, kind: str = "hole") -> DumpCase:
    """Make a case of lines that replace the content of the app's location."""
    old = f"        include authgw/identity.conf;\n{_COMMENT}{PASS}"
    return DumpCase("site.conf", old, f"        {lines}\n", message, kind)


_COMMENT = (
    "        # Without a URI part: with one, NGINX would decode the path that the gateway "
    "saw raw.\n"
)


def in_server(lines: str, message: str, kind: str = "hole") -> DumpCase:
    """Make a case of lines in the protected server, before its `location /`."""
    return DumpCase("site.conf", _SERVER, f"    {lines}\n{_SERVER}", message, kind)


def in_http(lines: str, message: str, kind: str = "hole") -> DumpCase:
    """Make a case of lines in the http block, after the recipe's files."""
    return DumpCase("nginx.conf", SITE, f"    {lines}\n{SITE}", message, kind)


def identity(old: str, new: str, message: str, kind: str = "hole") -> DumpCase:
    """Make a case of a change to identity.conf."""
    return DumpCase("authgw/identity.conf", old, new, message, kind)


def public(lines: str) -> str:
    """Return a public location with these lines."""
    return f"location /public/ {{ auth_request off; {lines} }}"
