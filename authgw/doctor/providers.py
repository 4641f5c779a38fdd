"""Checks of the identity providers of a configuration."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from authgw.config.loader import LoadedConfig
from authgw.core.providers.model import Provider
from authgw.doctor.findings import CheckResult, Grade, error_messages, ok, problem
from authgw.doctor.provider_check import ProviderCheck
from authgw.doctor.provider_claims import settings_of
from authgw.server.outgoing import OutgoingClient


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


def _of_provider(name: str, result: CheckResult) -> CheckResult:
    return CheckResult(result.grade, f"provider {name}", f"{result.part}: {result.text}")
