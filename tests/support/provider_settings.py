"""Configurations with identity providers."""

from typing import Any

import yaml

COMPANY = {
    "issuer": "https://kc.example.com/realms/x",
    "client_id": "authgw",
    "client_secret_file": "kc",
    "accept": "linked",
}
GITHUB = {"type": "github", "client_id": "gh", "client_secret_file": "kc", "accept": "linked"}
RULES = [{"allow": ["authenticated"]}]


def text(rules: Any = None, /, login: Any = None, **providers: Any) -> str:
    """Return a configuration with these providers; a value None removes a key."""
    section = {
        "url": "https://auth.example.com/login",
        "providers": {
            name.replace("_", "-"): {key: value for key, value in each.items() if value is not None}
            for name, each in providers.items()
        },
        **(login or {}),
    }
    content = {"login": section, "rules": rules or [{"allow": ["group:a"]}]}
    return yaml.safe_dump(content, sort_keys=False)


def one(**keys: Any) -> str:
    return text(company={**COMPANY, **keys})
