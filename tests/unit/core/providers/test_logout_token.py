"""Logout tokens: valid tokens, and each single change for which a token is refused."""

from dataclasses import replace
from typing import Any

import pytest

from authgw.core.errors import LogoutTokenInvalidError
from authgw.core.providers.logout_token import (
    LogoutKeyUnknownError,
    LogoutNotice,
    verify_logout_token,
)
from authgw.core.reasons import CAUSES
from tests.support.builders import NOW
from tests.support.provider_tokens import (
    EVENT,
    ID_CLAIMS,
    KEYS,
    LOGOUT_CLAIMS,
    OTHER_RSA,
    PROVIDER,
    b64,
    changed,
    jwk,
    signed,
)

SUB = LOGOUT_CLAIMS["sub"]


def verified(text: str, now: float = NOW, **options: Any) -> LogoutNotice:
    return verify_logout_token(text, **{"provider": PROVIDER, "keys": KEYS, **options}, now=now)


def cause(text: str, **options: Any) -> str:
    with pytest.raises(LogoutTokenInvalidError) as caught:
        verified(text, **options)
    assert (caught.value.status, caught.value.cause in CAUSES) == (400, True)
    assert caught.value.note
    return caught.value.cause


def claims(**changes: Any) -> dict[str, Any]:
    return changed(LOGOUT_CLAIMS, **changes)


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "logout+jwt", "application/logout+JWT"])
def test_types_that_providers_write(typ: str | None) -> None:
    # Keycloak before version 25 writes `JWT`.
    assert verified(signed(claims(), typ=typ)) == LogoutNotice(SUB, None, NOW)


def test_a_session_an_account_or_both() -> None:
    assert verified(signed(claims(sid="s1"))) == LogoutNotice(SUB, "s1", NOW)
    assert verified(signed(claims(sid="s1", sub=...))) == LogoutNotice(None, "s1", NOW)
    assert verified(signed(claims(aud=["other", "authgw"]))) == LogoutNotice(SUB, None, NOW)
    more = {EVENT: {"any": 1}, "https://example.com/event": 7}
    assert verified(signed(claims(events=more))).account == SUB


def test_an_expiry_decides_if_it_is_there() -> None:
    text = signed(claims(iat=NOW - 3600, exp=NOW + 120))
    verified(text)
    verified(text, NOW + 179.9)
    assert cause(text, now=NOW + 180) == "provider_expired"


def test_without_an_expiry_the_age_decides() -> None:
    text = signed(claims(exp=...))
    verified(text, NOW + 180)
    assert cause(text, now=NOW + 180.1) == "provider_expired"
    assert cause(text, now=NOW + 121, provider=replace(PROVIDER, skew=0.0)) == "provider_expired"


def test_a_replay_is_verified_again() -> None:
    text = signed(claims())
    assert verified(text) == verified(text)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"iss": "https://evil.example"}, "provider_issuer"),
        ({"iss": ...}, "provider_issuer"),
        ({"aud": "other"}, "provider_audience"),
        ({"aud": ["other"]}, "provider_audience"),
        ({"aud": ...}, "provider_audience"),
        ({"azp": "other"}, "provider_audience"),
        ({"iat": ...}, "provider_claims"),
        ({"iat": "now"}, "provider_claims"),
        ({"iat": NOW + 60.1}, "provider_not_yet_valid"),
        ({"nbf": NOW + 60.1}, "provider_not_yet_valid"),
        ({"exp": NOW - 60}, "provider_expired"),
        ({"exp": "soon"}, "provider_claims"),
        ({"events": ...}, "logout_events"),
        ({"events": {}}, "logout_events"),
        ({"events": EVENT}, "logout_events"),
        ({"events": [EVENT]}, "logout_events"),
        ({"events": {EVENT: True}}, "logout_events"),
        ({"events": {EVENT: []}}, "logout_events"),
        ({"events": {f"{EVENT}/": {}}}, "logout_events"),
        ({"events": {"https://example.com/event": {}}}, "logout_events"),
        ({"nonce": "n"}, "logout_nonce"),
        ({"nonce": None}, "logout_nonce"),
        ({"sub": ...}, "logout_subject"),
        ({"sub": 7}, "provider_claims"),
        ({"sid": 7}, "provider_claims"),
        ({"sid": "s\n1"}, "provider_claims"),
        ({"jti": ...}, "provider_claims"),
        ({"jti": ""}, "provider_claims"),
        ({"jti": 7}, "provider_claims"),
    ],
)
def test_each_forged_claim_is_refused(change: dict[str, Any], expected: str) -> None:
    assert cause(signed(claims(**change))) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"typ": "at+jwt"}, "provider_type"),
        ({"typ": "secevent+jwt"}, "provider_type"),
        ({"typ": "id_token"}, "provider_type"),
        ({"crit": ["exp"]}, "provider_token"),
        ({"jwk": jwk(OTHER_RSA)}, "provider_token"),
        ({"jku": "https://evil.example/jwks"}, "provider_token"),
        ({"kid": "ec"}, "provider_alg"),
        ({"kid": "other"}, "provider_key_unknown"),
    ],
)
def test_each_forged_header_is_refused(change: dict[str, Any], expected: str) -> None:
    assert cause(signed(claims(), **change)) == expected


def test_forged_signatures_are_refused() -> None:
    assert cause(signed(claims(), key=OTHER_RSA)) == "provider_signature"
    assert cause(signed(claims(), "HS256", key=b"s" * 32, kid="rsa")) == "provider_alg"
    assert cause(f"{b64({'alg': 'none'})}.{b64(claims())}.") == "provider_alg"
    assert cause("nonsense") == "provider_token"


def test_an_id_token_logs_nobody_out() -> None:
    assert cause(signed(ID_CLAIMS)) == "logout_events"


def test_an_unknown_key_is_an_error_of_its_own() -> None:
    with pytest.raises(LogoutKeyUnknownError):
        verified(signed(claims(), kid="new"))
