"""Output of `authgw user`: users and app passwords, without secrets."""

from collections.abc import Iterator
from datetime import UTC
from typing import Any

from authgw.cli.output import printable
from authgw.core.users import USERS
from authgw.identity.bindings_file import Bindings
from authgw.identity.user_entry import AppPasswordEntry, UserEntry


def user_as_json(name: str, entry: UserEntry) -> dict[str, Any]:
    """Return a user as a JSON object."""
    return {
        "user": name,
        "groups": list(entry.groups),
        "email": entry.email,
        "name": entry.name,
        "disabled": not entry.may_log_in,
        "totp": entry.totp is not None,
        "source": entry.source,
        "links": [{"issuer": link.issuer, "sub": link.sub} for link in entry.links],
        "app_passwords": [app_password_as_json(password) for password in entry.app_passwords],
    }


def app_password_as_json(entry: AppPasswordEntry) -> dict[str, Any]:
    """Return an app password as a JSON object."""
    end = entry.expires and f"{entry.expires.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {"name": entry.name, "paths": list(entry.paths), "expires_at": end}


def user_as_line(shown: dict[str, Any]) -> str:
    """Return a line for a user, from its JSON object."""
    app_passwords = "; ".join(map(app_password_as_line, shown["app_passwords"]))
    properties = [
        f"groups {', '.join(shown['groups'])}" if shown["groups"] else "no groups",
        *(["second factor"] if shown["totp"] else []),
        *(["disabled"] if shown["disabled"] else []),
        *([f"account at {shown['source']}"] if shown["source"] != USERS else []),
        *[f"linked to {printable(link['sub'])} at {link['issuer']}" for link in shown["links"]],
        *([f"app passwords {app_passwords}"] if app_passwords else []),
    ]
    return f"{printable(shown['user'])}: {', '.join(properties)}"


def bindings_as_json(bindings: Bindings) -> dict[str, Any]:
    """Return the bindings as a JSON object."""
    names = [
        {"name": name, "issuer": account.issuer, "sub": account.sub}
        for name, account in bindings.names.items()
    ]
    return {"names": names, "blocked": list(bindings.blocked)}


def bindings_as_lines(shown: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each bound name and each blocked account, from their JSON object."""
    for name in shown["names"]:
        yield f"{printable(name['name'])}: {printable(name['sub'])} at {name['issuer']}"
    for who in shown["blocked"]:
        yield f"blocked: {printable(who)}"


def app_password_as_line(shown: dict[str, Any]) -> str:
    """Return a line for an app password, from its JSON object."""
    where = f"for {' '.join(shown['paths'])}" if shown["paths"] else "for every path"
    until = f"until {shown['expires_at']}" if shown["expires_at"] else "does not expire"
    return f"{shown['name']} ({where}, {until})"
