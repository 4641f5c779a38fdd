"""Output of `authgw user`: users and app passwords, without secrets."""

from datetime import UTC
from typing import Any

from authgw.cli.output import printable
from authgw.identity.user_entry import AppPasswordEntry, UserEntry


def user_as_json(name: str, entry: UserEntry) -> dict[str, Any]:
    """Return a user as a JSON object."""
    return {
        "user": name,
        "groups": list(entry.groups),
        "email": entry.email,
        "name": entry.name,
        "disabled": entry.disabled,
        "totp": entry.totp is not None,
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
        *([f"app passwords {app_passwords}"] if app_passwords else []),
    ]
    return f"{printable(shown['user'])}: {', '.join(properties)}"


def app_password_as_line(shown: dict[str, Any]) -> str:
    """Return a line for an app password, from its JSON object."""
    where = f"for {' '.join(shown['paths'])}" if shown["paths"] else "for every path"
    until = f"until {shown['expires_at']}" if shown["expires_at"] else "does not expire"
    return f"{shown['name']} ({where}, {until})"
