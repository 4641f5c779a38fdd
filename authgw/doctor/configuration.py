"""Checks of the configuration, the signing keys, the users file and the trusted backends."""

from collections.abc import Iterator

from authgw.config.loader import LoadedConfig
from authgw.core.keys import Key
from authgw.doctor import lint
from authgw.doctor.findings import CheckResult, error_messages, ok, problem, warning
from authgw.files import key_files
from authgw.identity.bindings_file import load_bindings
from authgw.identity.clients_file import load_clients
from authgw.identity.users_file import entry_warnings, load_users, permission_warnings

_PART = "configuration"


def examine(loaded: LoadedConfig) -> Iterator[CheckResult]:
    """Report errors that prevent the gateway's start, and values that look unintended."""
    auth = loaded.settings.auth
    users, bindings = loaded.path(auth.users), loaded.path(auth.bindings)
    errors = [
        *error_messages(
            lambda: load_clients(loaded.path(auth.clients)),
            lambda: load_users(users),
            lambda: load_bindings(bindings),
        )
    ]
    yield from (problem(_PART, message) for message in errors)
    warnings = [*loaded.warnings, *loaded.rule_warnings]
    if not errors:
        warnings += [*permission_warnings(users), *permission_warnings(bindings)]
        warnings += [*entry_warnings(users, load_users(users))]
        warnings += [*lint.unknown_groups(loaded), *lint.user_warnings(loaded)]
    yield from (warning(_PART, message) for message in warnings)
    if not errors and not warnings:
        yield ok(_PART, "valid, with its users and clients")
    yield from _keys(loaded)
    if not errors:
        yield from _login_page(loaded, len(load_users(users)))


def keys_of(loaded: LoadedConfig) -> tuple[Key, ...]:
    """Return the signing keys of this configuration; empty before they are made.

    Raises:
        SigningKeyError: a key must not be used.
    """
    auth = loaded.settings.auth
    if auth.algorithm != "HS256":
        return key_files.load_keys(loaded.path(auth.keys))
    path = loaded.path(auth.secret_file)
    return (key_files.load_shared_secret(path),) if path.exists() else ()


def _keys(loaded: LoadedConfig) -> Iterator[CheckResult]:
    errors = [*error_messages(lambda: keys_of(loaded))]
    yield from (problem("keys", message) for message in errors)
    if errors:
        return
    kids = ", ".join(key.kid for key in keys_of(loaded))
    if kids:
        yield ok("keys", kids)
    elif not loaded.settings.cache.is_shared:
        yield ok("keys", "no signing key yet: the first start creates a key")
    else:
        yield problem(
            "keys",
            "no signing key, which replicas on a Redis must share: run `authgw key init` once",
        )


def _login_page(loaded: LoadedConfig, user_count: int) -> Iterator[CheckResult]:
    pages = ", ".join(site.url for site in loaded.settings.login.sites.all)
    if user_count and not pages:
        message = f"{_users(user_count)} and no login page: set login.url for logins by browser"
        yield warning("login page", message)
    elif pages and not user_count:
        message = f"{pages} has no users yet: run `authgw user add NAME`"
        yield warning("login page", message)
    elif pages:
        yield ok("login page", f"{pages}, for {_users(user_count)}")


def _users(count: int) -> str:
    return f"{count} user{'' if count == 1 else 's'}"
