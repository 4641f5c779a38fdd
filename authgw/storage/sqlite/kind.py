"""The kind of stores that `embedded:` URLs name: an SQLite file, or memory."""

from pathlib import Path
from typing import TYPE_CHECKING

from authgw.storage import StoreSetupError
from authgw.storage.kinds import StoreLocation

if TYPE_CHECKING:
    from authgw.storage.sqlite.store import EmbeddedStore

_MEMORY = "embedded://memory"


class EmbeddedKind:
    """See `StoreKind`."""

    prefixes = ("embedded:",)
    examples = ("embedded:///FILE", _MEMORY)
    is_shared = False

    def validate(self, url: str) -> None:
        """See `StoreKind.validate`."""
        if url != _MEMORY and not url[12:].strip("/"):
            raise ValueError(f"has no name of a file: write embedded:///var/authgw.db or {_MEMORY}")
        if url != _MEMORY and url[11:12] != "/":
            raise ValueError("must have three slashes: write embedded:///var/authgw.db")

    def file(self, url: str, directory: Path) -> Path | None:
        """See `StoreKind.file`; a fourth slash makes it absolute. None for memory."""
        return None if url == _MEMORY else directory / url.removeprefix("embedded:///")

    def describe(self, url: str, directory: Path) -> str:
        """See `StoreKind.describe`."""
        return str(self.file(url, directory) or "memory (lost at every restart)")

    async def open(self, location: StoreLocation) -> "EmbeddedStore":
        """See `StoreKind.open`."""
        # Imported here: a command that opens no store needs no library for it.
        from authgw.storage.sqlite.store import EmbeddedStore

        path = self.file(location.url, location.directory)
        return await EmbeddedStore.open(path, idle=location.idle)

    async def open_shared(self, location: StoreLocation) -> "EmbeddedStore":
        """See `StoreKind.open_shared`."""
        from authgw.storage.sqlite.store import EmbeddedStore

        path = self.file(location.url, location.directory)
        if path is None:
            raise StoreSetupError(
                f"{_MEMORY} is the memory of the running gateway, which commands cannot read: set "
                "cache.url to embedded:///var/authgw.db, or use the gateway's API (POST /revoke)"
            )
        return await EmbeddedStore.open_shared(path, idle=location.idle)

    async def open_exclusive(self, location: StoreLocation) -> "EmbeddedStore":
        """See `StoreKind.open_exclusive`: the file is locked."""
        if self.file(location.url, location.directory) is None:
            raise StoreSetupError(
                f"{_MEMORY} is lost when this command ends: name a file or a Redis"
            )
        return await self.open(location)


EMBEDDED = EmbeddedKind()
