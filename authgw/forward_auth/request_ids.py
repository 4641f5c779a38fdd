"""The id of a request, by which users and log lines name it."""

import re
import secrets

from authgw.core.networks import TrustedProxies
from authgw.dialects.headers import RawHeaders, values

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def request_id(headers: RawHeaders, peer: str, trusted: TrustedProxies) -> str:
    """Return the X-Request-ID of a trusted proxy, else a random id."""
    sent = values(headers, "X-Request-ID")
    return trusted_id(sent[0], peer, trusted) if sent else new_id()


def trusted_id(sent: bytes, peer: str, trusted: TrustedProxies) -> str:
    """Return the value of X-Request-ID if a trusted proxy sent it, else a random id."""
    if trusted.trusts(peer):
        text = sent.decode("latin-1")
        if _REQUEST_ID.fullmatch(text):
            return text
    return new_id()


def new_id() -> str:
    """Return a random id."""
    return secrets.token_hex(8)
