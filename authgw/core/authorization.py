"""Classification of Authorization lines: authgw's own, foreign, or a mixture to refuse.

A credential of authgw must be valid. Any other credential belongs to the app behind the proxy and
does not invalidate a session cookie. A damaged, wrapped or joined credential of authgw is still
authgw's: a parse error must not turn it into a credential for the app.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from itertools import chain

from authgw.core.errors import AuthorizationMalformedError
from authgw.core.limits import (
    MAX_AUTHORIZATION_BYTES,
    MAX_CACHED_JOSE_HEADERS,
    MAX_CREDENTIAL_DECODES,
)
from authgw.core.rules import Credential, Rule
from authgw.core.users import APP_PASSWORD_PREFIX
from authgw.core.value_type import value_type

_APP_PASSWORD = APP_PASSWORD_PREFIX.encode()
_SERVICE_KEY = b"agk_"
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*)")
_BASIC = re.compile(rb"[Bb][Aa][Ss][Ii][Cc] +([^ \t].*)", re.DOTALL)
# The alphabets of base64, base64url, app passwords and JWS. The prefixes consist of it.
_TOKEN_RUN = re.compile(rb"[A-Za-z0-9+/_.-]{4,}")
_JWS_START = b"eyJ"  # base64url of `{"`
_NAME = re.compile(r'"(iss|kid)"\s*:\s*"((?:[^"\\]|\\.)*)"')
_STANDARD = bytes.maketrans(b"-_", b"+/")  # RFC 4648 section 5 to section 4
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_MIN_BASE64_LENGTH = 6  # characters of the shortest prefix in base64
# A quoted string (RFC 9110 section 5.6.4), or an opening quote without an end.
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*+("?)', re.DOTALL)
_WORD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PARAMETER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*=")
# Prefixes of schemes that authenticate a connection and not a request (RFC 4559 section 6): NTLM,
# Negotiate and its variants Nego2 and NegoEx, Kerberos.
_CONNECTION_SCHEMES = (b"ntlm", b"nego", b"kerberos")


class AuthorizationKind(Enum):
    """Owner of the credential in the lines."""

    ABSENT = "absent"
    OURS = "ours"
    FOREIGN = "foreign"
    MALFORMED = "malformed"  # ours, in a form that is not valid for authgw


@dataclass(frozen=True, slots=True)
class OwnIdentifiers:
    """Issuers and key ids, current and previous, that identify a token of authgw."""

    issuers: frozenset[str] = frozenset()
    kids: frozenset[str] = frozenset()


@value_type()
class Authorization:
    """The classified Authorization lines of a request.

    `token` is set if they are a single well-formed Bearer of any origin; `pair` is name and
    password of an accepted Basic. `binds_connection` is True if a line would authenticate the
    connection. `problem` describes malformed lines.
    """

    kind: AuthorizationKind
    token: str | None = field(default=None, repr=False)
    pair: tuple[str, str] | None = field(default=None, repr=False)
    binds_connection: bool = False
    problem: str = ""


_ABSENT = Authorization(AuthorizationKind.ABSENT)


def read_authorization(
    lines: Sequence[bytes], identifiers: OwnIdentifiers, *, accepts_basic: bool
) -> Authorization:
    """Classify all Authorization lines; with `accepts_basic`, Basic is a credential of authgw."""
    if not lines:
        return _ABSENT
    token = _bearer_token(lines)
    if token is not None:
        is_ours = _is_large(lines) or _is_own_token(token.encode("ascii"), identifiers)
        kind = AuthorizationKind.OURS if is_ours else AuthorizationKind.FOREIGN
        return Authorization(kind, token)
    schemes = [_schemes(line) for line in lines]
    distinct = frozenset(chain.from_iterable(schemes))
    is_basic = accepts_basic and b"basic" in distinct
    pair = _pair(lines) if is_basic else None
    if pair is not None:
        return Authorization(AuthorizationKind.OURS, pair=pair)
    binds = any(scheme.startswith(_CONNECTION_SCHEMES) for scheme in distinct)
    problem = "Basic is accepted here and is not a single name and password" if is_basic else ""
    problem = problem or _problem(lines, schemes, identifiers)
    return Authorization(
        AuthorizationKind.MALFORMED if problem else AuthorizationKind.FOREIGN,
        binds_connection=binds,
        problem=problem,
    )


def _problem(
    lines: Sequence[bytes], schemes: Sequence[Sequence[bytes]], identifiers: OwnIdentifiers
) -> str:
    """Return why lines that are neither Bearer nor Basic may be authgw's; empty if they are not."""
    if _is_large(lines):
        return f"Authorization is over {MAX_AUTHORIZATION_BYTES} bytes"
    if _is_ours(b"\n".join(lines), identifiers):
        return "a credential of authgw is not sent as a single Bearer or Basic"
    if any(len(line_schemes) > 1 for line_schemes in schemes):
        return "an Authorization line contains several credentials"
    return ""


def _is_large(lines: Sequence[bytes]) -> bool:
    return sum(map(len, lines)) > MAX_AUTHORIZATION_BYTES


def refusal(authorization: Authorization, rule: Rule) -> str:
    """Return why the rule refuses these lines next to a session cookie; empty if it does not."""
    if rule.allow.anyone and all(other.allow.anyone for _, other in rule.further_rules):
        return ""
    if rule.denies_foreign and authorization.kind in (
        AuthorizationKind.FOREIGN,
        AuthorizationKind.MALFORMED,
    ):
        return f"the Authorization header is not authgw's, and {rule.name} has foreign: deny"
    if authorization.binds_connection and not rule.connection_auth:
        return (
            "NTLM and Negotiate authenticate a connection, which other users' requests may share: "
            f"{rule.name} needs upstream_auth: connection"
        )
    return ""


def effective_token(authorization: Authorization, rule: Rule, *, has_cookie: bool) -> str | None:
    """Return the Bearer token that must be valid for this rule; None if the header is ignored.

    Raises:
        AuthorizationMalformedError: the header is not ignored and not a single Bearer token, or the
            rule refuses it next to the cookie.
    """
    problem = refusal(authorization, rule) if has_cookie else ""
    if problem:
        raise AuthorizationMalformedError(problem)
    reads_bearer = rule.accepts(Credential.BEARER)
    if authorization.kind is AuthorizationKind.ABSENT or not (
        reads_bearer or rule.accepts(Credential.APP_PASSWORD)
    ):
        return None
    if authorization.kind is AuthorizationKind.FOREIGN and has_cookie:
        return None
    if authorization.token is None:
        raise AuthorizationMalformedError(authorization.problem)
    return authorization.token if reads_bearer else None


def bearer(lines: Sequence[bytes]) -> str | None:
    """Return the token of a single Authorization line, None without a line.

    Raises:
        AuthorizationMalformedError: not a single line with one Bearer token (RFC 6750 section 2.1).
    """
    token = _bearer_token(lines)
    if lines and token is None:
        raise AuthorizationMalformedError
    return token


def basic(lines: Sequence[bytes]) -> tuple[str, str] | None:
    """Return name and password of a Basic Authorization line (RFC 7617), None without Basic.

    Raises:
        AuthorizationMalformedError: two lines, or a line without name and password.
    """
    if not any(line[:6].lower() == b"basic " for line in lines):
        return None
    pair = _pair(lines)
    if pair is None:
        raise AuthorizationMalformedError
    return pair


def _bearer_token(lines: Sequence[bytes]) -> str | None:
    match = _BEARER.fullmatch(lines[0]) if len(lines) == 1 else None
    return match[1].decode("ascii") if match else None


def _pair(lines: Sequence[bytes]) -> tuple[str, str] | None:
    match = _BASIC.fullmatch(lines[0]) if len(lines) == 1 and not _is_large(lines) else None
    if match is None:
        return None
    try:
        decoded = base64.b64decode(match[1].strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, colon, password = decoded.partition(":")
    return (name, password) if colon else None


def _schemes(line: bytes) -> list[bytes]:
    """Return the scheme of each credential in a line, in lower case.

    Envoy joins two lines by a comma, which also separates parameters (RFC 9110 section 11.4). An
    element that is not a parameter begins another credential.
    """
    unquoted = _QUOTED.sub(lambda match: b'""' if match[1] else match[0], line)
    elements = [element for element in (part.strip() for part in unquoted.split(b",")) if element]
    credentials = [
        element
        for position, element in enumerate(elements)
        if position == 0 or not _PARAMETER.match(element)
    ]
    words = [_WORD.match(element) for element in credentials]
    return [word[0].lower() if word else b"" for word in words]


def _is_own_token(token: bytes, identifiers: OwnIdentifiers) -> bool:
    # Only what begins like a JOSE header may displace cached headers.
    if token.startswith(_JWS_START) and _is_own_header(token.partition(b".")[0], identifiers):
        return True
    return _is_ours(token, identifiers)


@lru_cache(MAX_CACHED_JOSE_HEADERS)
def _is_own_header(part: bytes, identifiers: OwnIdentifiers) -> bool:
    """Return True if a token with this JOSE header is authgw's; cached, as few differ."""
    return _names_us(_base64_content(part), identifiers)


def _is_ours(text: bytes, identifiers: OwnIdentifiers) -> bool:
    """Return True if any part of the text, raw or decoded, is a credential of authgw."""
    decodes_left = MAX_CREDENTIAL_DECODES
    while True:
        runs = _TOKEN_RUN.findall(text)
        if (_APP_PASSWORD in text or _SERVICE_KEY in text) and any(map(_has_prefix, runs)):
            return True
        if _names_us(text, identifiers):
            return True
        if not runs or not decodes_left:
            return False
        parts = [part for run in runs for part in run.split(b".")]
        encoded = [part for part in parts if len(part) >= _MIN_BASE64_LENGTH]
        text = b"\n".join([content for part in encoded for content in _decoded(part)])
        decodes_left -= 1


def _names_us(text: bytes, identifiers: OwnIdentifiers) -> bool:
    """Return True if a JSON member `iss` or `kid` is authgw's, at any position, even duplicated."""
    if b'"' not in text:
        return False
    unescaped = text.decode("utf-8", "replace").replace("\\/", "/")
    if "\\u" in unescaped:
        unescaped = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), unescaped)
    own = {"iss": identifiers.issuers, "kid": identifiers.kids}
    return any(value in own[name] for name, value in _NAME.findall(unescaped))


def _has_prefix(run: bytes) -> bool:
    """Return True if an app password or a service key may begin in this run."""
    # A signature may contain a prefix by chance; issuer and kid identify a JWS.
    return (_APP_PASSWORD in run or _SERVICE_KEY in run) and not _is_jws(run)


def _is_jws(run: bytes) -> bool:
    """Return True if this is a JWS or JWE of any issuer, in compact form."""
    parts = run.split(b".")
    return len(parts) in (3, 5) and b'"alg"' in _base64_content(parts[0])


def _decoded(part: bytes) -> tuple[bytes, ...]:
    """Return the texts that base64 in this part may encode."""
    start = part.find(_JWS_START)
    whole = _base64_content(part)
    return (whole, _base64_content(part[start:])) if start > 0 else (whole,)


def _base64_content(part: bytes) -> bytes:
    # A Bearer token may also contain `~` and end with any number of `=` (RFC 6750 section 2.1).
    standard = part.translate(_STANDARD, b"~").rstrip(b"=")
    whole = standard[:-1] if len(standard) % 4 == 1 else standard
    return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))
