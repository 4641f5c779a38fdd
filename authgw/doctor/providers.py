"""Checks of the identity providers of a configuration."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from difflib import get_close_matches
from pathlib import Path

from authgw.config.loader import LoadedConfig
from authgw.config.providers import ProviderSettings
from authgw.core.errors import OperatorError, ProviderRefusedError
from authgw.core.providers.admission import AccountDirectory
from authgw.core.providers.model import Provider
from authgw.doctor import provider_claims
from authgw.doctor.findings import CheckResult, Grade, error_messages, ok, problem
from authgw.doctor.provider_check import ProviderCheck
from authgw.identity.users_watcher import WatchedUsersFile
from authgw.server.outgoing import OutgoingClient


class ProviderUnknownError(OperatorError):
    """Raised for the name of a provider that the configuration does not have."""


async def examine(loaded: LoadedConfig) -> list[CheckResult]:
    """Report on the documents and the clock of each provider; a provider in order has a line."""
    results = []
    for name in loaded.settings.login.providers:
        found = [
            result
            for result in await examine_documents(loaded, name)
            if result.grade is not Grade.OK
        ]
        results += [_of_provider(name, result) for result in found]
        if not found:
            results.append(ok(f"provider {name}", "reachable, with usable keys"))
    return results


async def examine_documents(loaded: LoadedConfig, name: str) -> list[CheckResult]:
    """Return the results of a provider's documents and clock, or of its unusable secret."""
    async with _check_of(loaded, name, time.time) as check:
        return await check.documents() if isinstance(check, ProviderCheck) else check


async def examine_provider(
    loaded: LoadedConfig, name: str, clock: Callable[[], float]
) -> list[CheckResult]:
    """Return the results of all parts of a provider; `clock` returns Unix seconds.

    Raises:
        ProviderUnknownError: the configuration has no such provider.
    """
    async with _check_of(loaded, name, clock) as check:
        return await check.results() if isinstance(check, ProviderCheck) else check


@asynccontextmanager
async def _check_of(
    loaded: LoadedConfig, name: str, clock: Callable[[], float]
) -> AsyncIterator["ProviderCheck | list[CheckResult]"]:
    settings = settings_of(loaded, name)
    providers: list[Provider] = []
    errors = [*error_messages(lambda: providers.append(settings.provider(name, loaded.directory)))]
    if errors:
        yield [problem("client", message) for message in errors]
        return
    client = OutgoingClient()
    try:
        calls = client.calls_of(name, loaded.path(settings.ca_file) if settings.ca_file else None)
        yield ProviderCheck(providers[0], loaded.settings.login.sites.all, calls, clock)
    finally:
        await client.close()


def settings_of(loaded: LoadedConfig, name: str) -> ProviderSettings:
    """Return the settings of a provider.

    Raises:
        ProviderUnknownError: the configuration has no such provider.
    """
    configured = loaded.settings.login.providers
    if name in configured:
        return configured[name]
    if not configured:
        raise ProviderUnknownError("there are no identity providers: add login.providers")
    near = get_close_matches(name, configured, 1)
    hint = f"did you mean {near[0]}?" if near else f"write {' or '.join(configured)}"
    raise ProviderUnknownError(f"login.providers has no {name}: {hint}")


def examine_claims(loaded: LoadedConfig, name: str, file: Path) -> list[CheckResult]:
    """Return the local identity of the account with the claims of a file, or why it has none.

    Raises:
        ProviderUnknownError: the configuration has no such provider.
        ClaimsFileError, UsersFileError, BindingsFileError: a file cannot be used.
    """
    provider = provider_without_secrets(loaded, name)
    try:
        claims = provider_claims.read_claims(file, provider)
    except ProviderRefusedError as error:
        return [problem("login", provider_claims.refusal_text(error, name))]
    return [*provider_claims.examine(provider, claims, accounts_of(loaded))]


def provider_without_secrets(loaded: LoadedConfig, name: str) -> Provider:
    """Return a provider for decisions about accounts, which need no secret.

    Raises:
        ProviderUnknownError: the configuration has no such provider.
    """
    without = {"client_secret_file": None, "client_key_file": None}
    settings = settings_of(loaded, name).model_copy(update=without)
    return settings.provider(name, loaded.directory)


def accounts_of(loaded: LoadedConfig) -> AccountDirectory:
    """Return the users, links and bindings of this configuration as they are now."""
    auth = loaded.settings.auth
    return WatchedUsersFile(loaded.path(auth.users), bindings=loaded.path(auth.bindings))


def _of_provider(name: str, result: CheckResult) -> CheckResult:
    return CheckResult(result.grade, f"provider {name}", f"{result.part}: {result.text}")
