"""Decisions on the outcome of a refresh at an identity provider.

A refresh confirms the account of a session (OpenID Connect Core section 12), or does not reach the
provider, or ends the session. It never moves the times and methods of the login, and its result is
committed by the compare-and-set of the session, so that it cannot bring back an ended session.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

from authgw.core.providers.model import Admitted, ProviderClaims
from authgw.core.sessions import Session
from authgw.core.users import USERS

RETRY_DELAY = 2.0  # seconds until a refused refresh token is presented again
_FINAL_REFUSAL = 2  # of the same token


@dataclass(frozen=True, slots=True)
class RenewalResult:
    """The outcome of a refresh, and the session to commit; it is unchanged if it has to end.

    `cause` is the reason of the end, a code of `CAUSES`.
    """

    outcome: Literal["confirmed", "away", "ended"]
    session: Session
    cause: str = ""


def away(session: Session, *, now: float, sealed: str = "") -> RenewalResult:
    """Return the result without a valid response: only the attempt is noted.

    A response that was lost after sending is such a result as well: the provider may have replaced
    the refresh token, or not. `sealed` is a new refresh token, if a part of the response had it.
    """
    tried = replace(session, tried_at=now, sealed=sealed or session.sealed)
    return RenewalResult("away", tried)


def ended(session: Session, cause: str) -> RenewalResult:
    """Return the result for an account that may not continue the session.

    `cause` is that of a `ProviderRefusedError`, such as a blocked account, or of this module.
    """
    return RenewalResult("ended", session, cause)


def is_same_account(session: Session, claims: ProviderClaims) -> bool:
    """Return True if the claims are of the session's account (OpenID Connect Core section 12.2).

    The audience is verified with the ID token.
    """
    return (claims.issuer, claims.account) == (session.issuer, session.account)


def with_groups(
    session: Session, claims: ProviderClaims, responses: Collection[str]
) -> ProviderClaims | None:
    """Return the claims with the groups of the account now, None if these are unknown.

    The response that had the groups at the login counts: without the claim, the account is in no
    group any more (Keycloak omits an empty claim). `responses` are the valid ones, `id_token` or
    `userinfo`, that the refresh brought; if that response is missing, the groups are unknown.
    """
    if claims.groups is not None:
        return claims
    if not responses or (session.groups_from and session.groups_from not in responses):
        return None
    return replace(claims, groups=(), groups_from=session.groups_from)


def renewed(
    session: Session, claims: ProviderClaims, admitted: Admitted, *, now: float, sealed: str = ""
) -> RenewalResult:
    """Return the result for an account that was admitted again.

    Args:
        session: The session as it was read.
        claims: The result of `with_groups`.
        admitted: The local identity of these claims.
        now: The time of the store's clock.
        sealed: The refresh token, sealed now: a token that the provider did not replace is sealed
            again, so that its key is not the last use of an old signing key. Empty keeps the text.
    """
    if not is_same_account(session, claims):
        return ended(session, "renewal_account")
    identity = (admitted.sub, admitted.source, admitted.mark)
    # Another name, or a link made or removed since: the session is of a user that it was not
    # opened for.
    if identity != (session.sub, session.source, session.password_mark):
        return ended(session, "renewal_identity")
    confirmed = replace(
        session,
        checked_at=now,
        tried_at=now,
        groups_from=claims.groups_from or session.groups_from,
        sealed=sealed or session.sealed,
    )
    if session.source != USERS:
        # A linked user has the groups and texts of the users file.
        confirmed = replace(
            confirmed, groups=admitted.groups, email=admitted.email, name=admitted.name
        )
    return RenewalResult("confirmed", confirmed)


class AfterRefusal(Enum):
    """The next step after a provider refused a refresh token (`invalid_grant`)."""

    LEAVE = "leave"  # another replica has replaced the token, or the session has ended
    RETRY = "retry"  # after RETRY_DELAY
    END = "end"


def after_refusal(presented: str, stored: Session | None, refusals: int) -> AfterRefusal:
    """Return the next step after `refusals` refusals of the same token (RFC 6749 section 5.2).

    `presented` is the token as it was sealed in the session, `stored` the session now. A token that
    another replica has used up in the meantime does not end the session.
    """
    if stored is None or stored.sealed != presented:
        return AfterRefusal.LEAVE
    return AfterRefusal.END if refusals >= _FINAL_REFUSAL else AfterRefusal.RETRY


def carried_over(result: Session, seen: Session, stored: Session | None) -> Session | None:
    """Return the result of a refresh as a change of the session that is stored now.

    `seen` is the session as the refresh read it. In the meantime tokens may have been rotated,
    which is kept. None if the session has ended, or another refresh has replaced its token.
    """
    if stored is None or stored.sealed != seen.sealed:
        return None
    return replace(
        stored,
        groups=result.groups,
        email=result.email,
        name=result.name,
        checked_at=max(stored.checked_at, result.checked_at),
        tried_at=max(stored.tried_at, result.tried_at),
        groups_from=result.groups_from,
        sealed=result.sealed,
    )
