"""Authentication of trusted backends (HTTP Basic, RFC 7617)."""

from authgw.core.authorization import basic
from authgw.core.errors import (
    AuthorizationMalformedError,
    BackendForbiddenError,
    BackendUnknownError,
    TooManyFailuresError,
)
from authgw.core.limits import PER_BACKEND
from authgw.core.model import BACKEND_PREFIX
from authgw.core.networks import counted_network
from authgw.dialects.headers import authorization
from authgw.identity.clients_file import TrustedBackend
from authgw.web.api_request import ApiRequest


async def trusted_backend(request: ApiRequest) -> TrustedBackend:
    """Return the backend whose id and secret the request contains.

    A valid secret is accepted however many attempts have failed: 256 random bits cannot be guessed,
    and deliberate failures must not lock the backend out.

    Raises:
        BackendUnknownError: the credentials are missing or wrong.
        TooManyFailuresError: the credentials are wrong, and PER_BACKEND is exceeded.
        BackendForbiddenError: the backend may not connect from this address.
        StoreUnavailableError: the failure could not be counted.
    """
    gateway = request.gateway
    address = request.client_address
    client_id, secret = _credentials(request)
    backend = gateway.services.backends.verify(client_id, secret)
    if backend is None:
        is_known = client_id in gateway.services.backends.ids
        # Another name may be a misplaced secret, and an attacker could choose any number of them.
        source = f"{BACKEND_PREFIX}{client_id}" if is_known else ""
        budget = gateway.services.strangers
        if not budget.admit(address):
            raise TooManyFailuresError(
                budget.retry_after(address), sub=source, cause="throttled_address"
            )
        name = f"client:{client_id if is_known else ''}:{counted_network(address)}"
        count, remaining = await gateway.services.counters.increment(name, PER_BACKEND.window)
        if count > PER_BACKEND.max_failures:
            raise TooManyFailuresError(remaining, sub=source, cause="throttled_client")
        raise BackendUnknownError(
            sub=source, cause="client_secret" if is_known else "client_unknown"
        )
    if not backend.may_connect_from(address):
        detail = f"client {backend.id} may not ask from {address}"
        raise BackendForbiddenError(detail, sub=backend.source, cause="client_address", note=detail)
    return backend


def _credentials(request: ApiRequest) -> tuple[str, str]:
    try:
        credentials = basic(authorization(request.headers))
    except AuthorizationMalformedError:
        credentials = None
    if credentials is None:
        raise BackendUnknownError(cause="client_missing")
    return credentials
