"""The id of a request, by which users and log lines name it."""

import random
import re

from authgw.core.networks import TrustedProxies
from authgw.dialects.headers import RawHeaders, values

# An id from the system's source would take twice the time.
_RANDOM = random.Random()  # noqa: S311  an id protects nothing
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def request_id(headers: RawHeaders, peer: str, trusted: TrustedProxies) -> str:
    """Return the X-Request-ID of a trusted proxy, else a random id."""
    sent = values(headers, "X-Request-ID")
    return id_of(sent[0] if sent else None, peer, trusted)


def id_of(sent: bytes | None, peer: str, trusted: TrustedProxies) -> str:
    """Return the value of X-Request-ID if a trusted proxy sent it, else a random id."""
    if sent is not None and trusted.trusts(peer):
        text = sent.decode("latin-1")
        if _REQUEST_ID.fullmatch(text):
            return text
    return f"{_RANDOM.getrandbits(64):016x}"
