"""The first line of the log: version, configuration, users, clients and store."""

from importlib.metadata import version
from pathlib import Path

from authgw.config.loader import LoadedConfig
from authgw.storage.registry import kind_of

_NO_RULES = "no rules (any valid session may access every protected host)"


def summary(loaded: LoadedConfig, *, users: int, clients: int) -> str:
    """Return a sentence without secrets."""
    counts = entry_counts(loaded, users=users, clients=clients)
    store = f"sessions in {_store(loaded)}"
    return f"authgw {version('authgw')}: {file_read(loaded)}; {counts}, {store}."


def entry_counts(loaded: LoadedConfig, *, users: int, clients: int) -> str:
    """Return the numbers of rules, users and clients."""
    parts = (
        _NO_RULES if loaded.rules is None else _counted(len(loaded.rules.ordered), "rule"),
        _counted(users, "user"),
        _counted(clients, "client"),
    )
    return ", ".join(parts)


def file_read(loaded: LoadedConfig) -> str:
    """Return the path of the configuration file, or where there was none."""
    if loaded.file is None:
        return f"no config.yml in {Path.cwd()}, defaults apply"
    return f"configuration {loaded.file}"


def _counted(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _store(loaded: LoadedConfig) -> str:
    url = loaded.settings.cache.address
    return kind_of(url).describe(url, loaded.directory)
