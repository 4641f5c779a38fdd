"""The target of a request to the gateway itself, as events name it."""

from authgw.core.audit import Target
from authgw.core.errors import TargetMalformedError
from authgw.core.urls import canonical_host
from authgw.dialects.headers import RawHeaders, values


def own_target(method: str, raw_target: str, headers: RawHeaders) -> Target:
    """Return the target of a request without its query; the host is empty if it is not valid.

    A request target in absolute-form (RFC 9112 section 3.2.2) names no path of ours: its path is
    empty.
    """
    path = raw_target.partition("?")[0] if raw_target.startswith("/") else ""
    return Target(method, _host(headers), path)


def _host(headers: RawHeaders) -> str:
    sent = values(headers, "Host")
    try:
        return canonical_host(sent[0].decode("latin-1")) if len(sent) == 1 else ""
    except TargetMalformedError:
        return ""
