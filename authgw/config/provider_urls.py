"""The issuer of an identity provider: its form (OpenID Connect Discovery section 3)."""

import re
from urllib.parse import urlsplit

from authgw.core.errors import TargetMalformedError
from authgw.core.login_sites import host_of
from authgw.core.urls import canonical_host

_VISIBLE = re.compile(r"[!-~]+")
_DISCOVERY = "/.well-known/"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# Issuers of Entra ID that stand for accounts of any tenant.
_ANY_TENANT = re.compile(r"/(common|organizations|consumers)(/|\Z)")
_ENTRA = "login.microsoftonline.com"


def issuer_problem(issuer: str) -> str:
    """Return what is wrong with an issuer, and the remedy; an empty text for a valid issuer."""
    try:
        parts = urlsplit(issuer)
        port = parts.port
    except ValueError:
        return "is not a URL: write it as https://id.example.com"
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or not _VISIBLE.fullmatch(issuer):
        return (
            "is not a URL: write it with https://, without spaces, such as https://id.example.com"
        )
    if parts.query or parts.fragment or "?" in issuer or "#" in issuer:
        return "has a query or fragment, which no issuer has: remove the part from ? or #"
    if parts.username is not None or port == 0:
        return "has a user name or no valid port: write it as https://id.example.com"
    if not _is_canonical(issuer):
        return "has a host that cannot be reached, or with capitals or a dot at its end: correct it"
    if _DISCOVERY in parts.path:
        return "is the address of the discovery document: remove the part from /.well-known"
    if parts.scheme == "http" and not is_loopback(host):
        return "is http, over which anybody could read and change logins: write https://"
    if host == _ENTRA and _ANY_TENANT.match(parts.path):
        return f"is for the accounts of every tenant: write https://{_ENTRA}/TENANT-ID/v2.0"
    return ""


def _is_canonical(issuer: str) -> bool:
    host = host_of(issuer)
    written = issuer.partition("://")[2].partition("/")[0]
    try:
        return canonical_host(host) == host and written in (host, f"{host}:{urlsplit(issuer).port}")
    except TargetMalformedError:
        return False


def is_loopback(host: str) -> bool:
    """Return True for this machine, which http reaches without a network."""
    return host in _LOOPBACK or host.endswith(".localhost")
