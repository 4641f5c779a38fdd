"""A look at the installation of one configuration, as it is on this machine now."""

from authgw.config.loader import LoadedConfig
from authgw.doctor import configuration, files, ports, store
from authgw.doctor.findings import CheckResult


async def examine(loaded: LoadedConfig) -> list[CheckResult]:
    """Everything that is to be said of it; nothing is changed."""
    return [
        *configuration.examine(loaded),
        *files.examine(loaded),
        *[remark async for remark in store.examine(loaded)],
        *ports.examine(loaded),
    ]
