"""Who the trusted backend behind a request is (HTTP Basic, RFC 7617)."""

from aiohttp import web

from authgw.core.authorization import basic
from authgw.core.errors import (
    AuthorizationMalformedError,
    BackendForbiddenError,
    BackendUnknownError,
    TooManyFailuresError,
)
from authgw.core.limits import PER_BACKEND
from authgw.dialects.headers import authorization
from authgw.identity.clients_file import TrustedBackend
from authgw.web.context import GATEWAY, client_address


async def trusted_backend(request: web.Request) -> TrustedBackend:
    """The client that sent its id and secret.

    A right secret always counts: 256 random bits are not guessed, and nobody who fails on
    purpose may lock the real client out.

    Raises:
        BackendUnknownError: no or wrong credentials.
        TooManyFailuresError: wrong ones, for the eleventh time within a minute.
        BackendForbiddenError: not from this address.
        StoreUnavailableError: the failure could not be counted.
    """
    gateway = request[GATEWAY]
    address = client_address(request)
    client_id, secret = _credentials(request)
    backend = gateway.services.backends.verify(client_id, secret)
    if backend is None:
        name = f"client:{client_id}:{address}"
        count, left = await gateway.services.counters.increment(name, PER_BACKEND.window)
        known = f"client:{client_id}" if client_id in gateway.services.backends.ids else ""
        if count > PER_BACKEND.max_failures:
            raise TooManyFailuresError(left, sub=known)
        raise BackendUnknownError(sub=known)
    if not backend.may_connect_from(address):
        said = f"client {backend.id} may not ask from {address}"
        raise BackendForbiddenError(said, sub=backend.source)
    return backend


def _credentials(request: web.Request) -> tuple[str, str]:
    try:
        found = basic(authorization(request.raw_headers))
    except AuthorizationMalformedError:
        found = None
    if found is None:
        raise BackendUnknownError
    return found
