"""Whether what is written in configuration, keys, people and clients can be used."""

from collections.abc import Iterator

from authgw.config.loader import LoadedConfig
from authgw.core.keys import Key
from authgw.doctor import lint
from authgw.doctor.findings import CheckResult, ok, problem, refusals, warning
from authgw.files import key_files
from authgw.identity.clients_file import load_clients
from authgw.identity.users_file import alike_warnings, load_users, permission_warnings

_PART = "configuration"


def examine(loaded: LoadedConfig) -> Iterator[CheckResult]:
    """What keeps the gateway from starting, and what can hardly be meant."""
    auth = loaded.settings.auth
    users = loaded.path(auth.users)
    refused = [
        *refusals(lambda: load_clients(loaded.path(auth.clients)), lambda: load_users(users))
    ]
    yield from (problem(_PART, said) for said in refused)
    doubts = [*loaded.warnings, *loaded.rule_warnings]
    if not refused:
        doubts += [*permission_warnings(users), *alike_warnings(users, load_users(users))]
        doubts += [*lint.unknown_groups(loaded), *lint.misspelled_users(loaded)]
    yield from (warning(_PART, said) for said in doubts)
    if not refused and not doubts:
        yield ok(_PART, "valid, with its people and clients")
    yield from _keys(loaded)
    if not refused:
        yield from _page(loaded, len(load_users(users)))


def keys_of(loaded: LoadedConfig) -> tuple[Key, ...]:
    """The keys of this configuration; none if they are not made yet.

    Raises:
        SigningKeyError: one of them must not be used.
    """
    auth = loaded.settings.auth
    if auth.algorithm != "HS256":
        return key_files.load_keys(loaded.path(auth.keys))
    path = loaded.path(auth.secret_file)
    return (key_files.load_shared_secret(path),) if path.exists() else ()


def _keys(loaded: LoadedConfig) -> Iterator[CheckResult]:
    refused = [*refusals(lambda: keys_of(loaded))]
    yield from (problem("keys", said) for said in refused)
    if refused:
        return
    kids = ", ".join(key.kid for key in keys_of(loaded))
    if kids:
        yield ok("keys", kids)
    elif loaded.settings.cache.is_embedded:
        yield ok("keys", "none yet: the first start makes one")
    else:
        yield problem("keys", "none, and replicas must share them: run `authgw key init` once")


def _page(loaded: LoadedConfig, people: int) -> Iterator[CheckResult]:
    pages = ", ".join(site.url for site in loaded.settings.login.sites.all)
    if people and not pages:
        said = f"{people} people, and no page for them: set login.url for log-in by browser"
        yield warning("log-in page", said)
    elif pages and not people:
        yield warning("log-in page", f"{pages} is for nobody yet: authgw user add NAME")
    elif pages:
        yield ok("log-in page", f"{pages}, for {people} people")
