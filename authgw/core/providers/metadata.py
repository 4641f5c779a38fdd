"""Metadata of an identity provider (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from authgw.core.errors import ProviderUnavailableError
from authgw.core.limits import MAX_PROVIDER_URL_BYTES
from authgw.core.strict_json import read_object

_REQUIRED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_OPTIONAL = ("userinfo_endpoint", "end_session_endpoint", "revocation_endpoint")
_PKCE = "code_challenge_methods_supported"
# Discovery section 3: the value of `token_endpoint_auth_methods_supported` if it is omitted.
_DEFAULT_AUTH_METHODS = ("client_secret_basic",)


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """Addresses and features of a provider; an address that it does not publish is empty.

    `sends_issuer` means that each callback has `iss` (RFC 9207 section 3), `logs_out_by_sid` that
    logout tokens have `sid`. A list is empty if the document does not have it, except
    `token_auth_methods`.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    revocation_endpoint: str = ""
    sends_issuer: bool = False
    token_auth_methods: tuple[str, ...] = _DEFAULT_AUTH_METHODS
    id_token_algorithms: tuple[str, ...] = ()
    supports_backchannel_logout: bool = False
    logs_out_by_sid: bool = False
    scopes_supported: tuple[str, ...] = ()
    prompts_supported: tuple[str, ...] = ()


def parse_metadata(raw: bytes, issuer: str) -> ProviderMetadata:
    """Return the metadata that a discovery document of the configured `issuer` contains.

    Raises:
        ProviderUnavailableError: not strict JSON, of another issuer, without a required address,
            with an address that is not https, or without PKCE by S256. Its note names the key.
    """
    try:
        document = read_object(raw)
    except ValueError:
        raise _problem("is not a JSON object without duplicate keys") from None
    _check_issuer(document, issuer)
    addresses = {key: _address(document, key, issuer) for key in (*_REQUIRED, *_OPTIONAL)}
    for key in _REQUIRED:
        if not addresses[key]:
            raise _problem(f"has no `{key}`")
    methods = _texts(document, _PKCE)
    if methods is not None and "S256" not in methods:
        raise _problem(f"excludes PKCE by S256: `{_PKCE}` does not list it")
    auth_methods = _texts(document, "token_endpoint_auth_methods_supported")
    return ProviderMetadata(
        issuer=issuer,
        **addresses,
        sends_issuer=_flag(document, "authorization_response_iss_parameter_supported"),
        token_auth_methods=_DEFAULT_AUTH_METHODS if auth_methods is None else auth_methods,
        id_token_algorithms=_texts(document, "id_token_signing_alg_values_supported") or (),
        scopes_supported=_texts(document, "scopes_supported") or (),
        prompts_supported=_texts(document, "prompt_values_supported") or (),
        supports_backchannel_logout=_flag(document, "backchannel_logout_supported"),
        logs_out_by_sid=_flag(document, "backchannel_logout_session_supported"),
    )


def address_problem(address: str) -> str:
    """Return the reason why a provider must not have this address, empty if it may.

    It has to be https; http is for a host that names this machine (RFC 6761 section 6.3).
    """
    if not address.isascii() or not address.isprintable() or " " in address:
        return "contains characters that a URL cannot have"
    if len(address) > MAX_PROVIDER_URL_BYTES:
        return "is too long"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if not host or parts.scheme not in ("https", "http"):
        return "is not a URL with https"
    if parts.scheme == "http" and not is_loopback(host):
        return "is not https; only a provider on this machine may have http"
    if "@" in parts.netloc or "#" in address:
        return "contains a user name or a fragment"
    return ""


def is_loopback(host: str) -> bool:
    """Return True if this host of a URL names the machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _check_issuer(document: Mapping[str, Any], issuer: str) -> None:
    # Discovery section 4.3: the two must be identical, without any normalization.
    found = document.get("issuer")
    if not isinstance(found, str):
        raise _problem("has no `issuer`")
    if found != issuer:
        raise _problem(
            f"is of the issuer {found[:200]!r}, not {issuer!r}: write `issuer` exactly as the "
            "provider does"
        )


def _address(document: Mapping[str, Any], key: str, issuer: str) -> str:
    value = document.get(key)
    if value is None:
        return ""
    problem = address_problem(value) if isinstance(value, str) else "is not a text"
    if not problem and issuer.startswith("https:") and not value.startswith("https:"):
        # Another machine must not name services of this one, which trust their neighbours.
        problem = "is not https, although the issuer is"
    if problem:
        raise _problem(f"has an unusable `{key}`, which {problem}")
    return str(value)


def _texts(document: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _problem(f"has an unusable `{key}`, which is not a list of texts")
    return tuple(value)


def _flag(document: Mapping[str, Any], key: str) -> bool:
    value = document.get(key, False)
    if not isinstance(value, bool):
        raise _problem(f"has an unusable `{key}`, which is not true or false")
    return value


def _problem(text: str) -> ProviderUnavailableError:
    return ProviderUnavailableError(
        cause="provider_metadata", note=f"the discovery document {text}"
    )
