"""Mint and verify access, refresh and session tokens (JWT, RFC 7519, RFC 8725, RFC 9068).

A token's type is bound to its transport: `typ` in the header and `type` in the claims must both
match the type that the transport requires.
"""

import hmac
from collections.abc import Callable
from enum import Enum
from json.encoder import encode_basestring_ascii as _quoted
from operator import itemgetter
from typing import Any

from authgw.core.authorization import OwnIdentifiers
from authgw.core.errors import (
    TokenExpiredError,
    TokenInvalidError,
    TokenNotYetValidError,
    TokenWrongTypeError,
)
from authgw.core.jws import (
    JoseHeader,
    has_signature,
    json_object,
    parse,
    signed_part,
    signed_text,
    signed_token,
)
from authgw.core.keys import Key, KeyRing
from authgw.core.sessions import Session
from authgw.core.token_keys import TokenKey, TokenKeys
from authgw.core.value_type import value_type

LEEWAY = 5.0  # seconds
_TEXTS = itemgetter("iss", "sub", "jti", "sid", "type")
_NUMBERS = frozenset({int, float})
_TIMES = itemgetter("exp", "iat")


class TokenType(Enum):
    """The `type` claim and the JOSE `typ` (RFC 9068 section 2.1 for access tokens)."""

    ACCESS = ("access", "at+jwt")
    REFRESH = ("refresh", "rt+jwt")
    SESSION = ("session", "st+jwt")
    PENDING = ("pending", "pt+jwt")
    DEVICE = ("device", "dt+jwt")
    FLOW = ("flow", "flow+jwt")
    RESCUE = ("rescue", "rescue+jwt")

    def __init__(self, claim: str, header: str) -> None:
        # Plain attributes: an Enum's `value` is computed each time.
        self.claim = claim
        self.header = header
        self.tag = claim.encode()


# The types that only the gateway reads, with their JOSE `typ`.
_DERIVED_TYPES = {kind.claim: kind.header for kind in TokenType if kind is not TokenType.ACCESS}


@value_type()
class Token:
    """A verified token; times are Unix seconds. `mark` is the content of a ticket.

    From `valid_until` on it does not verify, because it has expired or its key is retired.
    """

    type: TokenType
    sub: str
    sid: str
    jti: str
    gen: int
    exp: float
    valid_until: float
    mark: str = ""


@value_type()
class TicketClaims:
    """Claims of a token outside a session; `lifetime` in seconds.

    `mark` is the content of the ticket: it identifies a password, or is a JSON text of the login.
    """

    id: str
    lifetime: float
    mark: str = ""


def _always() -> bool:
    return True


class Issuer:
    """Mints and verifies tokens of an issuer (`iss`) for an audience (`aud`).

    Tokens of `previous` issuers that were signed with these keys verify until they expire.
    `uses_derived_keys` returns False while another replica can verify only tokens of signing keys.
    """

    def __init__(
        self,
        name: str,
        audience: str,
        keys: KeyRing,
        previous: tuple[str, ...] = (),
        *,
        uses_derived_keys: Callable[[], bool] = _always,
    ) -> None:
        self.name = name
        self.keys = keys
        self._audience = audience
        self._previous = previous
        self._uses_derived_keys = uses_derived_keys
        self._token_keys = TokenKeys(keys, (name, *previous), _DERIVED_TYPES)
        self._iss_claim, self._aud_claim = f'"iss":{_quoted(name)}', f'"aud":{_quoted(audience)}'

    @property
    def identifiers(self) -> OwnIdentifiers:
        """Issuers and key ids that identify a token of authgw without verification."""
        return OwnIdentifiers(frozenset((self.name, *self._previous)), self._token_keys.known_kids)

    def mint(self, session: Session, kind: TokenType, *, now: float) -> str:
        """Sign a token of the session's current generation; `now` selects the key."""
        return signed_text(self._claims(session, kind), kind.header, self._key(kind, now))

    def mint_ticket(self, sub: str, kind: TokenType, ticket: TicketClaims, *, now: float) -> str:
        """Sign a token without a session: for an incomplete login or a known device."""
        claims = {
            "iss": self.name,
            "sub": sub,
            "aud": self._audience,
            "iat": int(now),
            "exp": int(now + ticket.lifetime),
            "jti": ticket.id,
            "sid": ticket.id,
            "gen": 0,
            "type": kind.claim,
            "mark": ticket.mark,
        }
        return signed_token(claims, kind.header, self._key(kind, now))

    def token_of(self, session: Session, kind: TokenType, *, now: float) -> Token | None:
        """Return the result of `verify` for a token of this session that is minted at `now`.

        None if it would not be valid yet.
        """
        current, access = session.current, kind is TokenType.ACCESS
        if int(current.iat) > now + LEEWAY:
            return None
        exp = int(current.access_exp if access else current.refresh_exp)
        retired_at = self.keys.verifies_until(self.keys.signing_key(now).kid)
        return Token(
            kind,
            session.sub,
            session.sid,
            current.access_jti if access else current.refresh_jti,
            session.gen,
            exp,
            min(exp + LEEWAY, retired_at),
        )

    def verify(
        self, text: str, kind: TokenType, *, now: float, allow_expired: bool = False
    ) -> Token:
        """Verify a token at `now` (Unix seconds) and return it.

        Raises:
            TokenMalformedError: not a canonical JWS in compact form, or over 4,096 bytes.
            TokenInvalidError: signature, kid, issuer, audience or a claim is not valid.
            TokenWrongTypeError: a token of this issuer, but of another type.
            TokenExpiredError, TokenNotYetValidError: expired, or not valid yet (leeway 5 s).
        """
        header, claims, signature = parse(text)
        found = self._key_of(header, claims, now)
        if not has_signature(signed_part(text), signature, found.key, kind.header):
            raise TokenInvalidError
        token = _validated(header, claims, kind, found.valid_until)
        self._check_parties(claims)
        _check_times(claims, now, allow_expired)
        return token

    def secret_of(self, ticket: str) -> bytes:
        """Return 32 bytes that only replicas can derive from this verified ticket.

        They depend on the id of the ticket and on the key of its kid, so every replica derives the
        same, after a rotation of keys too.

        Raises:
            TokenInvalidError: the key does not exist any more.
        """
        header, claims, _ = parse(ticket)
        parent = str(header.kid).partition("~")[0]
        secret = self._token_keys.secret(parent, claims["type"], claims["iss"])
        if secret is None:
            raise TokenInvalidError
        return hmac.digest(secret, str(claims["jti"]).encode(), "sha256")

    def _key(self, kind: TokenType, now: float) -> Key:
        """Return the key that signs tokens of this type at `now`."""
        derived = kind.claim in _DERIVED_TYPES and self._uses_derived_keys()
        keys = self._token_keys
        return keys.derived(kind.claim, now) if derived else keys.signing(now)

    def _claims(self, session: Session, kind: TokenType) -> str:
        """Return the claims as JSON, which takes a third of the time of an encoder."""
        current, access = session.current, kind is TokenType.ACCESS
        jti = _quoted(current.access_jti if access else current.refresh_jti)
        iat, exp = int(current.iat), int(current.access_exp if access else current.refresh_exp)
        user = "" if session.user_id is None else f',"user_id":{session.user_id}'
        return (
            f'{{{self._iss_claim},"sub":{_quoted(session.sub)},'
            f'{self._aud_claim},"iat":{iat},"nbf":{iat},"exp":{exp},'
            f'"jti":{jti},"uid":{jti},"sid":{_quoted(session.sid)},"gen":{session.gen},'
            f'"type":"{kind.claim}"{user}}}'
        )

    def _key_of(self, header: JoseHeader, claims: dict[str, Any], now: float) -> TokenKey:
        """Return the key of this token: its kid determines the algorithm and, if derived, the type.

        Raises:
            TokenInvalidError: no key of this issuer could have signed it.
        """
        kid, issuer = header.kid, claims.get("iss")
        found = None if kid is None else self._token_keys.verifying(kid, issuer, now)
        if found is None or header.alg != found.key.algorithm or header.is_extended:
            raise TokenInvalidError
        if found.typ not in ("", header.typ):
            raise TokenInvalidError
        return found

    def _check_parties(self, claims: dict[str, Any]) -> None:
        issuer, audience = claims["iss"], claims.get("aud")
        if issuer == self.name and audience == self._audience:
            return
        # Without a configured audience, the audience was the issuer of that time.
        if issuer not in self._previous or audience not in (issuer, self._audience):
            raise TokenInvalidError


def claims_of(text: str) -> dict[str, Any]:
    """Return the claims of a token that was verified before."""
    return json_object(text.split(".")[1].encode("ascii"))


def _validated(
    header: JoseHeader, claims: dict[str, Any], kind: TokenType, retired_at: float
) -> Token:
    try:
        texts, times = _TEXTS(claims), _TIMES(claims)
    except KeyError:
        raise TokenInvalidError from None
    for text in texts:
        # The JSON parser returns exactly these types; `true` has neither of them.
        if type(text) is not str or not text:
            raise TokenInvalidError
    for time in (*times, claims.get("nbf", 0)):
        # The bound also excludes infinities and integers beyond the range of a float.
        if type(time) not in _NUMBERS or not -(2**53) < time < 2**53:
            raise TokenInvalidError
    gen = claims.get("gen")
    if type(gen) is not int or gen < 0:
        raise TokenInvalidError
    _, sub, jti, sid, type_claim = texts
    if header.typ != kind.header or type_claim != kind.claim:
        raise TokenWrongTypeError
    exp, mark = times[0], str(claims.get("mark", ""))
    return Token(kind, sub, sid, jti, gen, exp, min(exp + LEEWAY, retired_at), mark)


def _check_times(claims: dict[str, Any], now: float, allow_expired: bool) -> None:
    if max(claims["iat"], claims.get("nbf", 0)) > now + LEEWAY:
        raise TokenNotYetValidError(sub=claims["sub"], sid=claims["sid"])
    if claims["exp"] <= now - LEEWAY and not allow_expired:
        raise TokenExpiredError(sub=claims["sub"], sid=claims["sid"])
