"""Mint and verify access, refresh and session tokens (JWT, RFC 7519, RFC 8725, RFC 9068).

A token's type binds its transport: `typ` in the header and `type` in the claims must both be
what the transport demands.
"""

import base64
import binascii
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import jwt

from authgw.core.errors import (
    TokenExpired,
    TokenInvalid,
    TokenMalformed,
    TokenNotYetValid,
    TokenWrongType,
)
from authgw.core.keys import Key, KeyRing
from authgw.core.sessions import Session
from authgw.core.strict_json import read_object

MAX_TOKEN_BYTES = 4096
LEEWAY = 5.0  # seconds
# PyJWT's own, without its reading of the token: `_parse` is stricter and has read it already.
_ALGORITHMS = jwt.algorithms.get_default_algorithms()
_REQUIRED = ("iss", "sub", "exp", "iat", "jti", "sid", "type")


class TokenType(Enum):
    """The value is the `type` claim; `header` the JOSE `typ`."""

    ACCESS = "access"
    REFRESH = "refresh"
    SESSION = "session"
    PENDING = "pending"
    DEVICE = "device"

    @property
    def header(self) -> str:
        """The `typ` of the JOSE header (RFC 9068 section 2.1 for access tokens)."""
        return _HEADERS[self.value]


_HEADERS = {
    "access": "at+jwt",
    "refresh": "rt+jwt",
    "session": "st+jwt",
    "pending": "pt+jwt",
    "device": "dt+jwt",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A verified token; times are Unix seconds.

    From `until` on it would not verify: it has expired, or its key is retired.
    """

    type: TokenType
    sub: str
    sid: str
    jti: str
    gen: int
    exp: float
    until: float
    text: str = field(repr=False)

    @property
    def claims(self) -> dict[str, Any]:
        """Everything it says, read anew: many tokens are remembered, few are asked for this."""
        return _json_object(_canonical(self.text.split(".")[1]))


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a token outside a session says; `lifetime` in seconds, `mark` names a password."""

    id: str
    lifetime: float
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs tokens, and for whom (`iss`, `aud`)."""

    name: str
    audience: str
    keys: KeyRing

    def mint(self, session: Session, kind: TokenType, *, now: float) -> str:
        """Sign a token of the session's current generation; `now` chooses the key."""
        return self._sign(self._claims(session, kind), kind, now)

    def mint_ticket(self, sub: str, kind: TokenType, ticket: Ticket, *, now: float) -> str:
        """Sign a token that belongs to no session: a log-in half done, or a known device."""
        claims = {
            "iss": self.name,
            "sub": sub,
            "aud": self.audience,
            "iat": int(now),
            "exp": int(now + ticket.lifetime),
            "jti": ticket.id,
            "sid": ticket.id,
            "gen": 0,
            "type": kind.value,
            "mark": ticket.mark,
        }
        return self._sign(claims, kind, now)

    def verify(
        self, text: str, kind: TokenType, *, now: float, allow_expired: bool = False
    ) -> Token:
        """The token that this text is.

        Raises:
            TokenMalformed: not a canonical JWS in compact form, or over 4,096 bytes.
            TokenInvalid: signature, kid, issuer, audience or a claim does not hold.
            TokenWrongType: a token of ours, but of another type.
            TokenExpired, TokenNotYetValid: its time is over or has not come (leeway 5 s).
        """
        header, claims, signature = _parse(text)
        self._check_signature(text, header, signature, now)
        token = _checked(text, header, claims, kind, self.keys.verifies_until(header["kid"]))
        self._check_parties(claims)
        _check_times(claims, now, allow_expired)
        return token

    def _sign(self, claims: dict[str, Any], kind: TokenType, now: float) -> str:
        key = self.keys.signing_key(now)
        headers = {"kid": key.kid, "typ": kind.header}
        return jwt.encode(claims, key.signing, key.algorithm, headers)

    def _claims(self, session: Session, kind: TokenType) -> dict[str, Any]:
        current = session.current
        access = kind is TokenType.ACCESS
        jti = current.access_jti if access else current.refresh_jti
        claims: dict[str, Any] = {
            "iss": self.name,
            "sub": session.sub,
            "aud": self.audience,
            "iat": int(current.iat),
            "nbf": int(current.iat),
            "exp": int(current.access_exp if access else current.refresh_exp),
            "jti": jti,
            "uid": jti,
            "sid": session.sid,
            "gen": session.gen,
            "type": kind.value,
        }
        if session.user_id is not None:
            claims["user_id"] = session.user_id
        return claims

    def _check_signature(
        self, text: str, header: dict[str, Any], signature: bytes, now: float
    ) -> None:
        key = self._key_of(header, now)
        # RFC 7515 section 5.2: what is signed is the text before the second dot.
        signed = text.rpartition(".")[0].encode("ascii")
        if not _ALGORITHMS[key.algorithm].verify(signed, key.verifying, signature):
            raise TokenInvalid

    def _key_of(self, header: dict[str, Any], now: float) -> Key:
        kid = header.get("kid")
        key = self.keys.verifying_key(kid, now) if isinstance(kid, str) else None
        if key is None or header.get("alg") != key.algorithm:
            raise TokenInvalid
        # RFC 7515 section 4.1.11: we understand no extension, so any is refused.
        if "crit" in header or "b64" in header:
            raise TokenInvalid
        return key

    def _check_parties(self, claims: dict[str, Any]) -> None:
        if claims["iss"] != self.name or claims.get("aud") != self.audience:
            raise TokenInvalid


def _parse(text: str) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    # Before anything is decoded: a huge token must cost nothing.
    if len(text) > MAX_TOKEN_BYTES or not text.isascii():
        raise TokenMalformed
    parts = text.split(".")
    if len(parts) != 3:
        raise TokenMalformed
    header, claims, signature = (_canonical(part) for part in parts)
    return _json_object(header), _json_object(claims), signature


def _canonical(part: str) -> bytes:
    """Base64url without padding or stray bits (RFC 4648 section 3.5), else two texts are one."""
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raise TokenMalformed from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != part.encode("ascii"):
        raise TokenMalformed
    return raw


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        return read_object(raw)
    except ValueError:
        raise TokenMalformed from None


def _checked(
    text: str, header: dict[str, Any], claims: dict[str, Any], kind: TokenType, retired_at: float
) -> Token:
    if any(name not in claims for name in _REQUIRED):
        raise TokenInvalid
    texts = (claims["iss"], claims["sub"], claims["jti"], claims["sid"], claims["type"])
    if not all(isinstance(value, str) and value for value in texts):
        raise TokenInvalid
    if not all(_is_time(claims[name]) for name in ("exp", "iat", "nbf") if name in claims):
        raise TokenInvalid
    gen = claims.get("gen")
    if not isinstance(gen, int) or isinstance(gen, bool) or gen < 0:
        raise TokenInvalid
    if header.get("typ") != kind.header or claims["type"] != kind.value:
        raise TokenWrongType
    exp = claims["exp"]
    until = min(exp + LEEWAY, retired_at)
    return Token(kind, claims["sub"], claims["sid"], claims["jti"], gen, exp, until, text)


def _is_time(value: Any) -> bool:
    # The bound also keeps infinities and integers that no float can hold out of comparisons.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53


def _check_times(claims: dict[str, Any], now: float, allow_expired: bool) -> None:
    if max(claims["iat"], claims.get("nbf", 0)) > now + LEEWAY:
        raise TokenNotYetValid(sub=claims["sub"], sid=claims["sid"])
    if claims["exp"] <= now - LEEWAY and not allow_expired:
        raise TokenExpired(sub=claims["sub"], sid=claims["sid"])
