"""Claims of an account: those of its ID token, and missing claims from the user information.

The ID token has precedence: it is signed, and bound to the login by its nonce.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from authgw.core.errors import FlowInvalidError, ProviderRefusedError, ProviderUnavailableError
from authgw.core.providers.id_token import ProviderIdToken
from authgw.core.providers.model import Provider, ProviderClaims
from authgw.core.strict_json import read_object

# Claims about the token and the login, which only an ID token can state.
_OF_TOKENS = frozenset(
    {"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "nonce", "at_hash", "c_hash", "events"}
    | {"jti", "sid", "auth_time", "amr", "acr"}
)


def claims_of_id_token(token: ProviderIdToken, provider: Provider) -> ProviderClaims:
    """Return the claims of a verified ID token.

    Raises:
        ProviderRefusedError: the groups are malformed.
    """
    groups = groups_in(token.claims, provider.groups.claim)
    return ProviderClaims(
        issuer=provider.issuer,
        account=token.account,
        values=token.claims,
        groups=groups,
        groups_from="" if groups is None else "id_token",
        auth_time=token.auth_time,
        amr=token.amr,
        acr=token.acr,
        idp_sid=token.idp_sid,
        needs_graph=groups is None and _has_overage(token.claims, provider.groups.claim),
    )


def missing_claims(claims: ProviderClaims, provider: Provider) -> tuple[str, ...]:
    """Return the claims for which the user information has to be read, empty if all are there."""
    needed = ["name"] if "profile" in provider.scopes else []
    if "email" in (provider.subject, *provider.scopes):
        needed += ["email", "email_verified"]
    if provider.subject not in ("sub", "email"):
        needed.append(provider.subject)
    missing = [name for name in needed if claims.values.get(name) is None]
    if claims.groups is None:
        missing.append(provider.groups.claim)
    return tuple(missing)


def parse_userinfo(raw: bytes) -> dict[str, Any]:
    """Return the claims of a response of the userinfo endpoint (Core section 5.3.2).

    Raises:
        ProviderUnavailableError: it is not a JSON object.
    """
    try:
        return read_object(raw)
    except ValueError:
        note = "the user information is not a JSON object without duplicate keys"
        raise ProviderUnavailableError(cause="provider_claims", note=note) from None


def merge_userinfo(
    claims: ProviderClaims, userinfo: Mapping[str, Any], provider: Provider
) -> ProviderClaims:
    """Return the claims with those of the user information that the ID token does not have.

    Raises:
        FlowInvalidError: the user information is of another account (Core section 5.3.4).
        ProviderRefusedError: the groups are malformed.
    """
    if userinfo.get("sub") != claims.account:
        raise FlowInvalidError(cause="provider_userinfo")
    groups, groups_from = claims.groups, claims.groups_from
    if groups is None:
        groups = groups_in(userinfo, provider.groups.claim)
        groups_from = "" if groups is None else "userinfo"
    has_overage = claims.needs_graph or _has_overage(userinfo, provider.groups.claim)
    return replace(
        claims,
        values=_merged(claims.values, userinfo),
        groups=groups,
        groups_from=groups_from,
        needs_graph=groups is None and has_overage,
    )


def with_groups(claims: ProviderClaims, groups: Sequence[str], groups_from: str) -> ProviderClaims:
    """Return the claims with groups that another response of the provider contained."""
    return replace(claims, groups=tuple(groups), groups_from=groups_from, needs_graph=False)


def groups_in(values: Mapping[str, Any], claim: str) -> tuple[str, ...] | None:
    """Return the groups as the provider names them, None if the claim is missing.

    Without a claim of this name, dots in it separate the names of nested objects, as in Keycloak's
    `realm_access.roles`.

    Raises:
        ProviderRefusedError: the claim is not a text or a list of texts.
    """
    value = values.get(claim)
    if value is None:
        value = _nested(values, claim.split("."))
    if value is None:
        return None
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ProviderRefusedError(cause="groups_malformed")
    return tuple(names)


def _nested(values: object, names: Sequence[str]) -> Any:
    for name in names:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _has_overage(values: Mapping[str, Any], claim: str) -> bool:
    """Return True if the provider states that it left the groups out.

    Core section 5.6.2 has `_claim_names`; Entra ID also writes `hasgroups`. The address in
    `_claim_sources` is never used, because a token must not name a server to call.
    """
    elsewhere = values.get("_claim_names")
    is_distributed = isinstance(elsewhere, Mapping) and claim in elsewhere
    return is_distributed or values.get("hasgroups") in (True, "true")


def _merged(signed: Mapping[str, Any], userinfo: Mapping[str, Any]) -> dict[str, Any]:
    further = {name: value for name, value in userinfo.items() if name not in _OF_TOKENS}
    known = {name: value for name, value in signed.items() if value is not None}
    # `email_verified` is about the address beside it, never about that of the other response.
    if known.get("email") is None:
        if further.get("email") is not None:
            known.pop("email_verified", None)
    elif known["email"] != further.get("email"):
        further.pop("email_verified", None)
    return further | known
