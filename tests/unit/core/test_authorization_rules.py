"""Authorization lines under a rule: lines that pass next to a cookie, and the effective token."""

from dataclasses import replace

import pytest

from authgw.core.authorization import (
    Authorization,
    AuthorizationKind,
    basic,
    bearer,
    effective_token,
    refusal,
)
from authgw.core.errors import AuthorizationMalformedError
from authgw.core.rules import Allow, Credential, Rule

ANY = Rule("here", Allow(authenticated=True))
COOKIE = replace(ANY, credentials=frozenset({Credential.COOKIE}))
DENYING = replace(ANY, denies_foreign=True)
CONNECTED = replace(ANY, connection_auth=True)
BASIC = replace(ANY, credentials=frozenset({Credential.COOKIE, Credential.APP_PASSWORD}))
PUBLIC = replace(DENYING, allow=Allow(anyone=True))
NTLM = Authorization(AuthorizationKind.FOREIGN, binds_connection=True)
THEIRS = Authorization(AuthorizationKind.FOREIGN, "x")
OURS = Authorization(AuthorizationKind.OURS, "token")
BROKEN = Authorization(AuthorizationKind.MALFORMED, problem="joined")


def test_refusal_next_to_a_cookie() -> None:
    assert not any(
        refusal(credential, ANY)
        for credential in (Authorization(AuthorizationKind.ABSENT), THEIRS, OURS, BROKEN)
    )
    assert "upstream_auth: connection" in refusal(NTLM, ANY)
    assert not refusal(NTLM, CONNECTED)
    for credential in (THEIRS, BROKEN, NTLM):
        assert "rules[0] (here) has foreign: deny" in refusal(credential, DENYING)
    assert not refusal(OURS, DENYING)
    assert not any(refusal(credential, PUBLIC) for credential in (THEIRS, NTLM))


@pytest.mark.parametrize(
    ("authorization", "rule", "with_cookie", "without"),
    [
        (Authorization(AuthorizationKind.ABSENT), ANY, None, None),
        (OURS, ANY, "token", "token"),
        (THEIRS, ANY, None, "x"),
        (replace(THEIRS, token=None), ANY, None, AuthorizationMalformedError),
        (BROKEN, ANY, AuthorizationMalformedError, AuthorizationMalformedError),
        (THEIRS, DENYING, AuthorizationMalformedError, "x"),
        (NTLM, ANY, AuthorizationMalformedError, AuthorizationMalformedError),
        (NTLM, CONNECTED, None, AuthorizationMalformedError),
        # Credentials that a rule does not accept are ignored, except that they bind the connection.
        (OURS, COOKIE, None, None),
        (BROKEN, COOKIE, None, None),
        (NTLM, COOKIE, AuthorizationMalformedError, None),
        (OURS, BASIC, None, None),
        (BROKEN, BASIC, AuthorizationMalformedError, AuthorizationMalformedError),
    ],
)
def test_effective_token(
    authorization: Authorization,
    rule: Rule,
    with_cookie: str | type[Exception] | None,
    without: str | type[Exception] | None,
) -> None:
    for has_cookie, expected in ((True, with_cookie), (False, without)):
        if isinstance(expected, type):
            with pytest.raises(expected):
                effective_token(authorization, rule, has_cookie=has_cookie)
        else:
            assert effective_token(authorization, rule, has_cookie=has_cookie) == expected


@pytest.mark.parametrize(
    "value", [b"Basic eDp5", b"Bearer", b"Bearer ", b"Bearer a b", b"", b"Bearer a,b", b"\xff"]
)
def test_malformed_bearer(value: bytes) -> None:
    with pytest.raises(AuthorizationMalformedError):
        bearer([value])


def test_bearer() -> None:
    assert bearer([]) is None
    assert bearer([b"bearer  a.b-c_d~+/=="]) == "a.b-c_d~+/=="
    with pytest.raises(AuthorizationMalformedError):
        bearer([b"Bearer a", b"Bearer a"])


def test_basic() -> None:
    assert basic([]) is None
    assert basic([b"Bearer x"]) is None
    assert basic([b"basic YTpi"]) == ("a", "b")
    for lines in ([b"Basic YTpi", b"Basic YTpi"], [b"Basic ", b"Basic"], [b"Basic YQ=="]):
        with pytest.raises(AuthorizationMalformedError):
            basic(lines)
