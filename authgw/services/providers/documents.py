"""Metadata and keys of an identity provider, fetched when a login needs them and kept for an hour.

Neither the start of a replica nor its readiness nor a check fetches a document. While the provider
is away, its former documents serve for a day.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, TypeVar

from authgw.core.errors import ProviderUnavailableError
from authgw.core.limits import (
    PROVIDER_DOCUMENT_DUE_AFTER,
    PROVIDER_DOCUMENT_RETRY_AFTER,
    PROVIDER_DOCUMENT_STALE_AFTER,
)
from authgw.core.measurements import Labels
from authgw.core.providers.jwks import ProviderKeys, parse_jwks
from authgw.core.providers.metadata import ProviderMetadata, parse_metadata
from authgw.services.providers.calls import ProviderCalls

# Of the lifetime of a document: replicas that started together do not fetch together.
_SPREAD = 0.1
_T = TypeVar("_T")


class ProviderDocuments:
    """Documents of the provider with this issuer; `clock` returns Unix seconds.

    `spread` returns a random number from 0 to 1.
    """

    def __init__(
        self,
        issuer: str,
        calls: ProviderCalls,
        *,
        clock: Callable[[], float],
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._issuer = issuer
        self._calls = calls
        self._metadata = _Document(self._fetch_metadata, clock, spread)
        self._keys = _Document(self._fetch_keys, clock, spread)

    async def metadata(self) -> ProviderMetadata:
        """Return the metadata.

        Raises:
            ProviderUnavailableError: they cannot be fetched, and the former are too old.
        """
        return await self._metadata.get()

    async def keys(self) -> ProviderKeys:
        """Return the keys.

        Raises:
            ProviderUnavailableError: they cannot be fetched, and the former are too old.
        """
        return await self._keys.get()

    async def keys_after(self, seen: ProviderKeys) -> ProviderKeys:
        """Return keys that are newer than `seen`, which lack the key of a token.

        They are `seen` again if the provider has no newer keys, or was contacted for an unknown
        key within the last minute: invented tokens cause a single call in a minute.
        """
        try:
            return await self._keys.after(seen)
        except ProviderUnavailableError:
            return seen

    def fetched(self) -> Iterator[tuple[Labels, float]]:
        """Yield the kind of each document and the time of its last fetch in Unix seconds."""
        for name, document in (("metadata", self._metadata), ("keys", self._keys)):
            if document.fetched_at:
                yield (name,), document.fetched_at

    async def _fetch_metadata(self) -> ProviderMetadata:
        # OpenID Connect Discovery section 4.1: a slash at the end of the issuer is removed.
        url = f"{self._issuer.removesuffix('/')}/.well-known/openid-configuration"
        return parse_metadata(await self._document(url), self._issuer)

    async def _fetch_keys(self) -> ProviderKeys:
        return parse_jwks(await self._document((await self.metadata()).jwks_uri))

    async def _document(self, url: str) -> bytes:
        response = await self._calls.get_json(url)
        if response.status != 200:
            raise ProviderUnavailableError(note=f"{url} responded with status {response.status}")
        return response.body


class _Document(Generic[_T]):
    """A document and its age; several callers share a fetch."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[_T]],
        clock: Callable[[], float],
        spread: Callable[[], float],
    ) -> None:
        self.fetched_at = 0.0
        self._fetch = fetch
        self._clock = clock
        self._spread = spread
        self._value: _T | None = None
        self._due_at = 0.0
        self._refetched_at = 0.0
        self._fetching: asyncio.Task[_T] | None = None

    async def get(self) -> _T:
        """Return the document, fetched anew if it is due; the former if that fails."""
        if self._value is not None and self._clock() < self._due_at:
            return self._value
        try:
            return await self._fetched()
        except ProviderUnavailableError:
            now, end = self._clock(), self.fetched_at + PROVIDER_DOCUMENT_STALE_AFTER
            if self._value is None or now >= end:
                raise
            # Nobody waits for a provider that is away more often than that.
            self._due_at = min(now + PROVIDER_DOCUMENT_RETRY_AFTER, end)
            return self._value

    async def after(self, seen: _T) -> _T:
        """Return a document other than `seen`, or `seen` within a minute after the last call."""
        if self._value is not None and self._value is not seen:
            return self._value
        now = self._clock()
        if self._fetching is None and now < self._refetched_at + PROVIDER_DOCUMENT_RETRY_AFTER:
            return seen
        self._refetched_at = now
        return await self._fetched()

    async def _fetched(self) -> _T:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch_now())
            self._fetching.add_done_callback(self._forget)
        # A caller that gives up leaves the fetch to the others.
        return await asyncio.shield(self._fetching)

    async def _fetch_now(self) -> _T:
        value = await self._fetch()
        now = self._clock()
        self._value, self.fetched_at = value, now
        self._due_at = now + PROVIDER_DOCUMENT_DUE_AFTER * (1 - _SPREAD * self._spread())
        return value

    def _forget(self, task: asyncio.Task[_T]) -> None:
        self._fetching = None
        if not task.cancelled():
            # Without this, an error that no caller waited for would be logged as unhandled.
            task.exception()
