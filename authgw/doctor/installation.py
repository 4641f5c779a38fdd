"""All checks of an installation: a configuration on this machine, in its current state."""

from authgw.config.loader import LoadedConfig
from authgw.doctor import configuration, files, ports, providers, store
from authgw.doctor.findings import CheckResult


async def examine(loaded: LoadedConfig) -> list[CheckResult]:
    """Run all checks without changing anything, and return their results."""
    return [
        *configuration.examine(loaded),
        *files.examine(loaded),
        *[result async for result in store.examine(loaded)],
        *await providers.examine(loaded),
        *ports.examine(loaded),
    ]
