"""Derived keys: for one type and issuer each, retired with their signing key, never confused."""

import json
from base64 import urlsafe_b64encode
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from authgw.core.errors import AuthgwError, TokenExpiredError, TokenInvalidError
from authgw.core.keys import Key, KeyRing, key_from_secret
from authgw.core.token_keys import derived_kid
from authgw.core.tokens import Issuer, TicketClaims, TokenType, claims_of
from tests.support.builders import KEY, LIVES, NOW, a_key, a_session, an_issuer

SECRET = key_from_secret("s", b"s" * 32)
EDWARDS = Ed25519PrivateKey.generate()
RSA = generate_private_key(65537, 2048)
KEYS = [
    KEY,
    SECRET,
    Key("e", "EdDSA", EDWARDS, EDWARDS.public_key()),
    Key("r", "RS256", RSA, RSA.public_key()),
]
OWN = [kind for kind in TokenType if kind is not TokenType.ACCESS]
SESSION = replace(a_session("Zoë", 2**53 + 1), gen=3)


def old_issuer(*keys: Key) -> Issuer:
    """An issuer beside a replica of the previous version."""
    ring = KeyRing(keys or (KEY,), LIVES.refresh)
    return Issuer("authgw", "authgw", ring, uses_derived_keys=lambda: False)


def derived_secret(key: Key, kind: TokenType, issuer: str = "authgw") -> bytes:
    private: Any = key.signing
    if isinstance(private, EllipticCurvePrivateKey):
        private = private.private_numbers().private_value.to_bytes(32)
    elif isinstance(private, Ed25519PrivateKey):
        private = private.private_bytes_raw()
    elif not isinstance(private, bytes):
        private = private.private_numbers().d.to_bytes(256)
    return HKDF(SHA256(), 32, None, f"authgw/1/{kind.header}/{issuer}".encode()).derive(private)


def refusal(text: str, kind: TokenType, issuer: Issuer | None = None, now: float = NOW) -> str:
    with pytest.raises(AuthgwError) as caught:
        (issuer or an_issuer()).verify(text, kind, now=now)
    return caught.value.code


def signed(kind: TokenType, secret: bytes, kid: str, **changed: str) -> str:
    claims = claims_of(an_issuer().mint(a_session(), kind, now=NOW))
    headers = {"kid": kid, "typ": changed.pop("typ", kind.header)}
    algorithm = changed.pop("alg", "HS256")
    return jwt.encode(claims | changed, secret, algorithm, headers)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
@pytest.mark.parametrize("kind", TokenType, ids=lambda kind: kind.claim)
def test_pyjwt_verifies_each_token_and_reads_the_same_claims(key: Key, kind: TokenType) -> None:
    new, old = an_issuer(key), old_issuer(key)
    text, before = (issuer.mint(SESSION, kind, now=NOW) for issuer in (new, old))
    is_derived = kind is not TokenType.ACCESS
    verifying = derived_secret(key, kind) if is_derived else key.verifying
    algorithm = "HS256" if is_derived else key.algorithm
    kid = f"{key.kid}~{kind.claim}" if is_derived else key.kid
    options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
    read = jwt.decode_complete(
        text, verifying, [algorithm], options=options, audience="authgw", issuer="authgw"
    )
    assert read["header"] == {"alg": algorithm, "kid": kid, "typ": kind.header}
    assert text.split(".")[1] == before.split(".")[1]
    assert read["payload"]["user_id"] == 2**53 + 1
    # Byte for byte as PyJWT writes it, but for the header's order and the signature of ES256.
    headers = {"kid": kid, "typ": kind.header}
    signing: Any = verifying if is_derived else key.signing
    written = jwt.encode(read["payload"], signing, algorithm, headers)
    assert written.split(".")[1] == text.split(".")[1]
    assert written == text or algorithm == "ES256"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
@pytest.mark.parametrize("kind", TokenType, ids=lambda kind: kind.claim)
def test_tokens_of_signing_keys_stay_valid(key: Key, kind: TokenType) -> None:
    text = old_issuer(key).mint(SESSION, kind, now=NOW)
    assert jwt.get_unverified_header(text)["kid"] == key.kid
    assert an_issuer(key).verify(text, kind, now=NOW).sid == SESSION.sid
    new = an_issuer(key).mint(SESSION, kind, now=NOW)
    assert old_issuer(key).verify(new, kind, now=NOW).sid == SESSION.sid


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("other", TokenType)
def test_a_derived_key_verifies_no_other_type(kind: TokenType, other: TokenType) -> None:
    secret, kid = derived_secret(KEY, kind), derived_kid(KEY.kid, kind.claim)
    text = signed(other, secret, kid)
    if kind is other:
        assert an_issuer().verify(text, kind, now=NOW).sub == "1"
    else:
        assert refusal(text, other) == "token_invalid"
        # Nor with the `typ` of its own type, and the `type` of another.
        assert refusal(signed(other, secret, kid, typ=kind.header), kind) == "token_wrong_type"


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("alg", ["HS384", "HS512", "ES256", "none"])
def test_the_kid_determines_the_algorithm(kind: TokenType, alg: str) -> None:
    kid = derived_kid(KEY.kid, kind.claim)
    secret: Any = {"ES256": KEY.signing, "none": None}.get(alg, derived_secret(KEY, kind))
    assert refusal(signed(kind, secret, kid, alg=alg), kind) == "token_invalid"


@pytest.mark.parametrize("kind", TokenType)
def test_a_signing_key_is_not_a_derived_key(kind: TokenType) -> None:
    for kid in (KEY.kid, f"{KEY.kid}~access", f"{KEY.kid}~", f"{KEY.kid}~{kind.claim}~refresh"):
        assert refusal(signed(kind, derived_secret(KEY, kind), kid), kind) == "token_invalid"
    # With a secret as signing key, only the kid tells its own tokens from those of derived keys.
    own = signed(kind, SECRET.verifying, f"s~{kind.claim}")  # type: ignore[arg-type]  # bytes
    assert refusal(own, kind, an_issuer(SECRET)) == "token_invalid"


@pytest.mark.parametrize("issuer", ["other", "", None, 1, ["authgw"], {"authgw": 1}])
def test_a_derived_key_verifies_no_other_issuer(issuer: Any) -> None:
    kind = TokenType.REFRESH
    text = signed(kind, derived_secret(KEY, kind), f"a1~{kind.claim}", iss="authgw")
    head, claims, _ = text.split(".")
    body = claims_of(f"{head}.{claims}.") | {"iss": issuer}
    changed = urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=").decode()
    assert refusal(f"{head}.{changed}.AAAA", kind) == "token_invalid"


@pytest.mark.parametrize("kind", OWN)
def test_issuers_have_different_keys(kind: TokenType) -> None:
    for name in ("authgw", "other"):
        text = signed(kind, derived_secret(KEY, kind, name), f"a1~{kind.claim}", iss="other")
        ring = an_issuer().keys
        new = Issuer("authgw", "authgw", ring, previous=("other",))
        if name == "other":
            with pytest.raises(TokenInvalidError):  # the audience is that of neither issuer's time
                Issuer("another", "another", ring, previous=("other",)).verify(text, kind, now=NOW)
            assert new.verify(text, kind, now=NOW).sub == "1"
        else:
            assert refusal(text, kind, new) == "token_invalid"


@pytest.mark.parametrize("kind", OWN)
def test_a_derived_key_is_retired_with_its_signing_key(kind: TokenType) -> None:
    old, new = a_key("old"), a_key("new", signs_from=NOW + 10)
    issuer = Issuer("authgw", "authgw", KeyRing((old, new), max_lifetime=100))
    ticket = TicketClaims("t", 10_000)
    before, after = (issuer.mint_ticket("1", kind, ticket, now=NOW + n) for n in (9, 10))
    assert jwt.get_unverified_header(after)["kid"] == f"new~{kind.claim}"
    assert issuer.verify(before, kind, now=NOW + 109).valid_until == NOW + 110
    assert refusal(before, kind, issuer, NOW + 110) == "token_invalid"
    assert issuer.verify(after, kind, now=NOW + 9_000).sub == "1"
    with pytest.raises(TokenExpiredError):
        issuer.verify(after, kind, now=NOW + 11_000)


def test_a_switch_of_the_forms_takes_effect_at_the_next_token() -> None:
    states = iter([False, True, False])
    ring = an_issuer().keys
    issuer = Issuer("authgw", "authgw", ring, uses_derived_keys=lambda: next(states))
    texts = [issuer.mint(a_session(), TokenType.SESSION, now=NOW) for _ in range(3)]
    kids = [jwt.get_unverified_header(text)["kid"] for text in texts]
    assert kids == ["a1", "a1~session", "a1"]


def test_derived_keys_are_not_published() -> None:
    issuer = an_issuer()
    assert [key["kid"] for key in issuer.keys.jwks(NOW)["keys"]] == ["a1"]
    assert issuer.keys.kids(NOW) == ("a1",)
    assert {"a1", "a1~refresh"} <= issuer.identifiers.kids


def ticket(issuer: Issuer, jti: str = "t1", kind: TokenType = TokenType.FLOW) -> str:
    return issuer.mint_ticket("company", kind, TicketClaims(jti, 600, "m"), now=NOW)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.kid)
def test_the_secret_of_a_ticket_is_that_of_all_replicas(key: Key) -> None:
    issuer = an_issuer(key)
    text = ticket(issuer)
    secret = issuer.secret_of(text)
    assert len(secret) == 32
    # Also after a new key has begun to sign, and if a replica still writes the previous form.
    assert an_issuer(key, a_key("a2")).secret_of(text) == secret
    assert old_issuer(key).secret_of(ticket(old_issuer(key))) == secret
    others = (ticket(issuer, "t2"), ticket(issuer, kind=TokenType.PENDING))
    assert len({secret, *map(issuer.secret_of, others)}) == 3
    assert secret != derived_secret(key, TokenType.FLOW), "a ticket reveals nothing of the key"


def test_a_ticket_whose_key_was_removed_has_no_secret() -> None:
    with pytest.raises(TokenInvalidError):
        an_issuer(a_key("a2")).secret_of(ticket(an_issuer()))
