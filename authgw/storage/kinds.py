"""Kinds of stores: how the URL of a store is validated, and how the store is opened."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from authgw.core.ports import Store


@dataclass(frozen=True, slots=True)
class StoreLocation:
    """The URL of a store and its settings; `idle` and `session_max` are in seconds.

    A relative file of the URL starts at `directory`. `password` replaces the URL's; `ca_file`
    contains the certificate authorities for TLS.
    """

    url: str = field(repr=False)
    directory: Path
    idle: float
    session_max: float
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None


class StoreKind(Protocol):
    """A kind of store; commands that open no store use it too, so it imports no store's library."""

    @property
    def prefixes(self) -> Sequence[str]:
        """The beginnings of this kind's URLs."""

    @property
    def examples(self) -> Sequence[str]:
        """URLs to name in the message about an unknown kind."""

    @property
    def is_shared(self) -> bool:
        """True if several replicas can use such a store."""

    def validate(self, url: str) -> None:
        """Check a URL with one of the prefixes.

        Raises:
            ValueError: the URL is not valid; the message starts with a verb and omits a password.
        """

    def file(self, url: str, directory: Path) -> Path | None:
        """Return the file of the store, or None if it has no local file."""

    def describe(self, url: str, directory: Path) -> str:
        """Return the words for this store in the first line of the log."""

    async def open(self, location: StoreLocation) -> Store:
        """Open a store for a gateway; an unreachable server is only logged.

        Raises:
            StoreSetupError: the store must not be used as it is.
        """

    async def open_shared(self, location: StoreLocation) -> Store:
        """Open a store that a running gateway may use, to list or revoke its sessions.

        Raises:
            StoreSetupError: the store does not exist, or only its gateway can access it.
        """

    async def open_exclusive(self, location: StoreLocation) -> Store:
        """Open a store while no gateway uses it.

        Raises:
            StoreSetupError: a gateway uses it, or it must not be used as it is.
            StoreUnavailableError: the store is unreachable.
        """
