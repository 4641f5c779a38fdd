"""Calls of this gateway to identity providers: https, bounded in time, size and number.

Neither a check nor the start of a replica makes a call. Proxies of the environment (`HTTPS_PROXY`)
are not used, so that no variable redirects calls that contain secrets.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from socket import AddressFamily
from typing import Any

import aiohttp
from aiohttp.abc import ResolveResult
from yarl import URL

from authgw.core.errors import ProviderUnavailableError
from authgw.core.limits import (
    MAX_LOGIN_CALLS,
    MAX_PROVIDER_CALLS,
    MAX_PROVIDER_RESPONSE_BYTES,
    MAX_WAITING_CALLS,
    PROVIDER_CALL_TIMEOUT,
)
from authgw.core.measurements import Measurement, labelled_counter
from authgw.core.providers.metadata import address_problem
from authgw.services.providers.calls import BasicCredentials, ProviderResponse

_CHUNK_BYTES = 64 * 1024


class CallCounts(Counter[tuple[str, ...]]):
    """The number of calls by provider and outcome; a reload leaves them in place."""

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        yield labelled_counter(
            "authgw_provider_calls",
            "Calls to identity providers by outcome: ok; refused, with a status of 400 to 499; "
            "failed, without a valid response",
            ("provider", "outcome"),
            dict(self),
        )


class OutgoingClient:
    """The client of all identity providers; `calls_of` returns the calls of a single provider.

    It opens its connections with the first call, in the event loop of that call.
    """

    def __init__(self, counts: CallCounts | None = None) -> None:
        self.counts = CallCounts() if counts is None else counts
        self._session: aiohttp.ClientSession | None = None

    def calls_of(self, name: str, ca_file: Path | None = None) -> "OneProviderCalls":
        """Return the calls of the provider `name` (`login.providers.NAME`).

        `ca_file` has the only certificate authorities that it is verified with, by default those
        of the system.
        """
        return OneProviderCalls(self, name, ca_file)

    def session(self) -> aiohttp.ClientSession:
        """Return the session of aiohttp, opened with the first call."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=_Resolver(), limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=PROVIDER_CALL_TIMEOUT),
                auto_decompress=False,
                trust_env=False,
                headers={
                    "User-Agent": f"authgw/{version('authgw')}",
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                },
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


class OneProviderCalls:
    """Calls to one provider by the rules of this module; see `ProviderCalls`."""

    def __init__(self, client: OutgoingClient, name: str, ca_file: Path | None) -> None:
        self._client = client
        self._name = name
        self._ca_file = ca_file
        self._trust: ssl.SSLContext | None = None
        self._pool = _CallPool()

    async def get_json(
        self,
        url: str,
        *,
        bearer: str = "",
        headers: Mapping[str, str] | None = None,
        renews: bool = False,
    ) -> ProviderResponse:
        """See `ProviderCalls.get_json`."""
        sent = {**(headers or {}), **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
        return await self._call("GET", url, renews, headers=sent)

    async def post_form(
        self,
        url: str,
        fields: Mapping[str, str],
        *,
        basic: BasicCredentials | None = None,
        renews: bool = False,
    ) -> ProviderResponse:
        """See `ProviderCalls.post_form`."""
        sent = {"Authorization": aiohttp.encode_basic_auth(*basic)} if basic else {}
        return await self._call("POST", url, renews, headers=sent, data=dict(fields))

    async def _call(self, method: str, url: str, renews: bool, **sent: Any) -> ProviderResponse:
        outcome = "failed"
        try:
            async with asyncio.timeout(PROVIDER_CALL_TIMEOUT), self._pool.slot(renews=renews):
                response = await self._response(method, _checked(url), sent)
            outcome = "ok" if response.status < 400 else "refused"
            return response
        except TimeoutError:
            raise _unavailable(
                url, f"did not respond within {PROVIDER_CALL_TIMEOUT:.0f} s"
            ) from None
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as error:
            raise _unavailable(url, _why(error, self._name)) from None
        finally:
            self._client.counts[self._name, outcome] += 1

    async def _response(self, method: str, url: URL, sent: dict[str, Any]) -> ProviderResponse:
        request = partial(self._client.session().request, method, url, allow_redirects=False)
        async with request(ssl=await self._context(), **sent) as response:
            problem = _problem(response)
            if problem:
                raise _unavailable(str(url), problem)
            date = response.headers.get("Date", "")
            return ProviderResponse(response.status, await _body(response), date)

    async def _context(self) -> ssl.SSLContext:
        if self._trust is None:
            try:
                # Reads files: hundreds of certificates of the system.
                self._trust = await asyncio.to_thread(
                    ssl.create_default_context, cafile=self._ca_file
                )
            except (OSError, ssl.SSLError):
                key = f"login.providers.{self._name}.ca_file"
                raise ProviderUnavailableError(
                    note=f"{key}: {self._ca_file} has no readable certificates in PEM form"
                ) from None
        return self._trust


class _CallPool:
    """Bounds the parallel calls to a provider, and those that wait for them."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(MAX_PROVIDER_CALLS)
        self._logins = asyncio.Semaphore(MAX_LOGIN_CALLS)
        self._waiting = 0

    @asynccontextmanager
    async def slot(self, *, renews: bool) -> AsyncIterator[None]:
        """Wait for a free call; logins (not `renews`) have their share of all calls only."""
        if renews:
            async with self._all:
                yield
            return
        if self._waiting >= MAX_WAITING_CALLS:
            raise ProviderUnavailableError(note=f"more than {MAX_WAITING_CALLS} logins wait for it")
        self._waiting += 1
        try:
            await self._logins.acquire()
        finally:
            self._waiting -= 1
        try:
            async with self._all:
                yield
        finally:
            self._logins.release()


class _Resolver(aiohttp.ThreadedResolver):
    """The system's resolver; names below `localhost` are this machine (RFC 6761 section 6.3)."""

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host."""
        if host.endswith(".localhost"):
            found = await super().resolve("localhost", port, family)
            return [{**address, "hostname": host} for address in found]
        return await super().resolve(host, port, family)


def _checked(url: str) -> URL:
    problem = address_problem(url)
    if problem:
        raise ProviderUnavailableError(note=f"an address of the identity provider {problem}")
    return URL(url, encoded=True)


def _problem(response: aiohttp.ClientResponse) -> str:
    """Return the reason why this response is not used, or ""."""
    status = response.status
    if 300 <= status < 400:
        return f"redirects (status {status}), which is not followed: set the address it leads to"
    if status >= 500 or status == 429:
        return f"responded with status {status}"
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return "sent a compressed response, which was not requested"
    if response.content_length == 0 or status == 204:
        return ""
    content_type = response.content_type.lower()
    if content_type == "application/jwt":
        return (
            "sent a signed token (application/jwt) instead of JSON: set userinfo of this client "
            "to unsigned JSON at the provider"
        )
    if content_type == "application/json" or content_type.endswith("+json"):
        return ""
    return f"sent no JSON (status {status}): check the address"


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_PROVIDER_RESPONSE_BYTES:
            raise _unavailable(
                str(response.url), f"sent more than {MAX_PROVIDER_RESPONSE_BYTES} bytes"
            )
    return bytes(body)


def _why(error: BaseException, name: str) -> str:
    """Return what happened, without any text that the peer chose."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _why_certificate(error.certificate_error, name)
    if isinstance(error, ssl.SSLCertVerificationError):
        return _why_certificate(error, name)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "has a host name that cannot be resolved: check the name and the resolver"
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return "does not accept a TLS connection: check the port and the TLS version"
    if isinstance(error, aiohttp.ClientConnectorError):
        refused = isinstance(error.os_error, ConnectionRefusedError)
        return "refused the connection" if refused else "cannot be reached"
    if isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, OSError)):
        return "closed the connection before the end of its response"
    if isinstance(error, aiohttp.InvalidURL):
        return "has an address that is not valid"
    return "sent a response that is not valid HTTP"


def _why_certificate(error: BaseException, name: str) -> str:
    code = getattr(error, "verify_code", 0)
    reasons = {
        9: "has a certificate that is not valid yet: check the clock of this machine",
        10: "has a certificate that has expired",
        62: "has a certificate for another host name",
        64: "has a certificate for another address",
    }
    return reasons.get(
        code,
        "has a certificate of an unknown authority: name the file of its authority in "
        f"login.providers.{name}.ca_file",
    )


def _unavailable(url: str, what: str) -> ProviderUnavailableError:
    """Return the error about this address; its query is left out, as it may contain secrets."""
    return ProviderUnavailableError(note=f"{_shown(url)} {what}")


def _shown(url: str) -> str:
    try:
        found = URL(url, encoded=True)
        shown = str(found.with_query(None).with_fragment(None).with_user(None))
    except ValueError:
        shown = ""
    return shown or "the identity provider"
