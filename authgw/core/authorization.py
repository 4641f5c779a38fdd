"""Read a request's Authorization lines: ours, the app's own, or a mixture that must not pass.

A credential of ours must hold. Anything else belongs to the app behind the proxy and does not
count against a session cookie. A damaged, wrapped or joined credential of ours is still ours: by
failing to parse it must not become the app's.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from itertools import chain

from authgw.core.errors import AuthorizationMalformedError
from authgw.core.rules import Credential, Rule

MAX_BYTES = 8192  # of all lines together; more is refused before anything is decoded
# The beginnings of app passwords and of service keys.
_PREFIX = re.compile(r"ag[wk]_")
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*)")
_BASIC = re.compile(rb"[Bb][Aa][Ss][Ii][Cc] +([^ \t].*)", re.DOTALL)
# The alphabets of base64, base64url, app passwords and JWS. The prefixes consist of it.
_RUN = re.compile(r"[A-Za-z0-9+/_.-]{4,}")
_JWS_START = "eyJ"  # base64url of `{"`
_NAME = re.compile(r'"(iss|kid)"\s*:\s*"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_MAX_DECODES = 2  # Basic, and a JWS inside of it
_MIN_BASE64 = 6  # characters of the shortest prefix
_MAX_HEADERS = 64  # remembered
# A quoted string (RFC 9110 section 5.6.4), or an opening quote without an end.
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*+("?)', re.DOTALL)
_WORD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PARAMETER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*=")
# How schemes begin that authenticate a connection and not a request (RFC 4559 section 6): NTLM,
# Negotiate and its variants Nego2 and NegoEx, Kerberos.
_OF_A_CONNECTION = (b"ntlm", b"nego", b"kerberos")


class AuthorizationKind(Enum):
    """Whose credential the lines hold."""

    ABSENT = "absent"
    OURS = "ours"
    FOREIGN = "foreign"
    MALFORMED = "malformed"  # ours, in a form that no credential of ours has


@dataclass(frozen=True, slots=True)
class OwnMarks:
    """Names that identify a token of ours: issuers and key ids of now and of before."""

    issuers: frozenset[str] = frozenset()
    kids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Authorization:
    """The Authorization lines of one request.

    `token` is there if they are one well-formed Bearer, of whatever origin; `pair` is name and
    password of a Basic that counts here. `binds_connection` is whether one of them would
    authenticate the connection. `problem` says what is wrong with a malformed one.
    """

    kind: AuthorizationKind
    token: str | None = field(default=None, repr=False)
    pair: tuple[str, str] | None = field(default=None, repr=False)
    binds_connection: bool = False
    problem: str = ""


_ABSENT = Authorization(AuthorizationKind.ABSENT)


def read_authorization(
    lines: Sequence[bytes], marks: OwnMarks, *, takes_basic: bool
) -> Authorization:
    """Classify all Authorization lines; `takes_basic` is whether Basic counts as ours here."""
    if not lines:
        return _ABSENT
    token = _bearer_token(lines)
    if token is not None:
        ours = (
            _is_large(lines)
            or _is_own_header(token.partition(".")[0], marks)
            or _is_ours(token, marks)
        )
        return Authorization(AuthorizationKind.OURS if ours else AuthorizationKind.FOREIGN, token)
    schemes = [_schemes(line) for line in lines]
    named = frozenset(chain.from_iterable(schemes))
    is_basic = takes_basic and b"basic" in named
    pair = _pair(lines) if is_basic else None
    if pair is not None:
        return Authorization(AuthorizationKind.OURS, pair=pair)
    binds = any(scheme.startswith(_OF_A_CONNECTION) for scheme in named)
    problem = "Basic counts here and is not one name and password" if is_basic else ""
    problem = problem or _problem(lines, schemes, marks)
    return Authorization(
        AuthorizationKind.MALFORMED if problem else AuthorizationKind.FOREIGN,
        binds_connection=binds,
        problem=problem,
    )


def _problem(lines: Sequence[bytes], schemes: Sequence[Sequence[bytes]], marks: OwnMarks) -> str:
    """Why these lines may be ours although they are neither Bearer nor Basic; empty if not."""
    if _is_large(lines):
        return f"Authorization is over {MAX_BYTES} bytes"
    if _is_ours(b"\n".join(lines).decode("latin-1"), marks):
        return "a credential of authgw is not sent as one Bearer or Basic"
    if any(len(one) > 1 for one in schemes):
        return "one Authorization line holds several credentials"
    return ""


def _is_large(lines: Sequence[bytes]) -> bool:
    return sum(map(len, lines)) > MAX_BYTES


def refusal(shown: Authorization, rule: Rule) -> str:
    """Why these lines may not pass next to a session cookie; empty if they may."""
    if rule.allow.anyone and all(other.allow.anyone for _, other in rule.beside):
        return ""
    if rule.denies_foreign and shown.kind in (
        AuthorizationKind.FOREIGN,
        AuthorizationKind.MALFORMED,
    ):
        return f"the Authorization header is not authgw's, and {rule.name} says foreign: deny"
    if shown.binds_connection and not rule.connection_auth:
        return (
            "NTLM and Negotiate authenticate a connection, which other users' requests may share: "
            f"{rule.name} needs upstream_auth: connection"
        )
    return ""


def token_that_counts(shown: Authorization, rule: Rule, *, has_cookie: bool) -> str | None:
    """The Bearer token that must hold for this rule; None if the header does not count.

    Raises:
        AuthorizationMalformedError: the header counts and is not one Bearer token, or it may not pass
            next to the cookie.
    """
    problem = refusal(shown, rule) if has_cookie else ""
    if problem:
        raise AuthorizationMalformedError(problem)
    reads_bearer = rule.heeds(Credential.BEARER)
    if shown.kind is AuthorizationKind.ABSENT or not (
        reads_bearer or rule.heeds(Credential.APP_PASSWORD)
    ):
        return None
    if shown.kind is AuthorizationKind.FOREIGN and has_cookie:
        return None
    if shown.token is None:
        raise AuthorizationMalformedError(shown.problem)
    return shown.token if reads_bearer else None


def bearer(lines: Sequence[bytes]) -> str | None:
    """The token of the one Authorization line, None without a line.

    Raises:
        AuthorizationMalformedError: two lines, another scheme, or not one token (RFC 6750 2.1).
    """
    token = _bearer_token(lines)
    if lines and token is None:
        raise AuthorizationMalformedError
    return token


def basic(lines: Sequence[bytes]) -> tuple[str, str] | None:
    """Name and password of one Basic Authorization line (RFC 7617), None without Basic.

    Raises:
        AuthorizationMalformedError: two lines, or no name and password in it.
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
    """The scheme of each credential in a line, in lower case.

    Envoy joins two lines by a comma, which also separates parameters (RFC 9110 section 11.4). An
    element that is no parameter begins another credential.
    """
    plain = _QUOTED.sub(lambda found: b'""' if found[1] else found[0], line)
    elements = [element for element in (part.strip() for part in plain.split(b",")) if element]
    begins = [
        element
        for place, element in enumerate(elements)
        if place == 0 or not _PARAMETER.match(element)
    ]
    words = [_WORD.match(element) for element in begins]
    return [word[0].lower() if word else b"" for word in words]


@lru_cache(_MAX_HEADERS)
def _is_own_header(part: str, marks: OwnMarks) -> bool:
    """Whether a token with this JOSE header is ours; few tokens of ours differ in it."""
    return _is_named(_base64_text(part), marks)


def _is_ours(text: str, marks: OwnMarks) -> bool:
    """Whether any part of the text, as it is or decoded, is a credential of ours."""
    for _ in range(1 + _MAX_DECODES):
        runs = _RUN.findall(text)
        # By chance a signature may hold a prefix; issuer and kid identify a JWS.
        if any(_PREFIX.search(run) and not _is_jws(run) for run in runs) or _is_named(text, marks):
            return True
        parts = (part for run in runs for part in run.split(".") if len(part) >= _MIN_BASE64)
        text = "\n".join(decoded for part in parts for decoded in _decoded(part))
    return False


def _is_named(text: str, marks: OwnMarks) -> bool:
    """Whether a JSON member `iss` or `kid` is ours, in whatever place, duplicated ones included."""
    if '"' not in text:
        return False
    plain = text.replace("\\/", "/")
    if "\\u" in plain:
        plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), plain)
    named = {"iss": marks.issuers, "kid": marks.kids}
    return any(value in named[name] for name, value in _NAME.findall(plain))


def _is_jws(run: str) -> bool:
    """Whether this is a JWS or JWE of anyone, in compact form."""
    parts = run.split(".")
    return len(parts) in (3, 5) and '"alg"' in _base64_text(parts[0])


def _decoded(part: str) -> Iterator[str]:
    """The texts that base64 in this part may stand for."""
    yield _base64_text(part)
    start = part.find(_JWS_START)
    if start > 0:
        yield _base64_text(part[start:])


def _base64_text(part: str) -> str:
    # A Bearer token may also hold `~` and end in any number of `=` (RFC 6750 section 2.1).
    standard = part.replace("-", "+").replace("_", "/").replace("~", "").rstrip("=")
    whole = standard[:-1] if len(standard) % 4 == 1 else standard
    raw = binascii.a2b_base64(whole + "=" * (-len(whole) % 4))
    return raw.decode("utf-8", "replace")
