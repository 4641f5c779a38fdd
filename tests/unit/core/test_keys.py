"""Keys: selection for signing, time of retirement, publication."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from authgw.core.keys import (
    KeyRing,
    KeyState,
    PrivateKey,
    SigningKeyError,
    key_from_pem,
    key_from_secret,
)
from authgw.core.tokens import TokenType
from tests.support.builders import NOW, a_key, a_session, an_issuer

PLAIN = NoEncryption()


def pem_of(key: PrivateKey, encryption: KeySerializationEncryption = PLAIN) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


KINDS: list[tuple[PrivateKey, str]] = [
    (ec.generate_private_key(ec.SECP256R1()), "ES256"),
    (rsa.generate_private_key(65537, 2048), "RS256"),
    (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
]


@pytest.mark.parametrize(("private", "algorithm"), KINDS)
def test_each_key_type_signs_verifies_and_is_published(private: PrivateKey, algorithm: str) -> None:
    issuer = an_issuer(key_from_pem("k", pem_of(private)))
    text = issuer.mint(a_session(), TokenType.ACCESS, now=NOW)
    assert issuer.verify(text, TokenType.ACCESS, now=NOW).sub == "1"
    (published,) = issuer.keys.jwks(NOW)["keys"]
    assert (published["alg"], published["kid"], published["use"]) == (algorithm, "k", "sig")
    assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & published.keys()


def test_a_secret_signs_and_is_never_published() -> None:
    issuer = an_issuer(key_from_secret("h", b"s" * 32 + b"\n"))
    text = issuer.mint(a_session(), TokenType.ACCESS, now=NOW)
    assert issuer.verify(text, TokenType.ACCESS, now=NOW).sub == "1"
    assert issuer.keys.jwks(NOW) == {"keys": []}


def test_a_trailing_newline_does_not_lengthen_a_secret() -> None:
    with pytest.raises(SigningKeyError, match="has 31 bytes"):
        key_from_secret("h", b"s" * 31 + b"\n")


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        (b"", "not an unencrypted"),
        (pem_of(KINDS[0][0], BestAvailableEncryption(b"x")), "not an unencrypted"),
        (pem_of(rsa.generate_private_key(65537, 1024)), "2048 bits"),
        (pem_of(ec.generate_private_key(ec.SECP384R1())), "P-256"),
    ],
)
def test_unsuitable_keys_are_refused(pem: bytes, why: str) -> None:
    with pytest.raises(SigningKeyError, match=why):
        key_from_pem("k", pem)


def test_a_new_key_signs_at_its_time_and_the_old_key_is_retired() -> None:
    ring = KeyRing((a_key("new", NOW + 600), a_key("old")), max_lifetime=100)
    assert ring.signing_key(NOW + 599).kid == "old"
    assert ring.signing_key(NOW + 600).kid == "new"
    assert ring.verifying_key("new", NOW) is not None
    assert ring.verifying_key("old", NOW + 699) is not None
    assert ring.verifying_key("old", NOW + 700) is None
    assert [key["kid"] for key in ring.jwks(NOW + 700)["keys"]] == ["new"]


@pytest.mark.parametrize(
    ("at", "states"),
    [
        (NOW, {"old": KeyState.SIGNING, "new": KeyState.NEXT}),
        (NOW + 600, {"old": KeyState.VERIFYING, "new": KeyState.SIGNING}),
        (NOW + 699, {"old": KeyState.VERIFYING, "new": KeyState.SIGNING}),
        (NOW + 700, {"old": KeyState.RETIRED, "new": KeyState.SIGNING}),
    ],
)
def test_states_of_keys(at: float, states: dict[str, KeyState]) -> None:
    ring = KeyRing((a_key("new", NOW + 600), a_key("old")), max_lifetime=100)
    assert {key.kid: ring.state(key.kid, at) for key in ring.keys} == states
    assert KeyRing((a_key("only", at + 9),), 1).state("only", at) is KeyState.SIGNING


def test_a_single_future_key_signs_at_once() -> None:
    assert KeyRing((a_key("only", NOW + 9),), 1).signing_key(NOW).kid == "only"


def test_missing_keys_and_duplicate_kids_are_refused() -> None:
    with pytest.raises(SigningKeyError, match="key init"):
        KeyRing((), 1)
    with pytest.raises(SigningKeyError, match="same kid"):
        KeyRing((a_key("a"), a_key("a")), 1)


def test_repr_shows_no_key_material() -> None:
    assert "ssss" not in repr(key_from_secret("h", b"s" * 32))


def test_kids_that_verify_now() -> None:
    ring = KeyRing((a_key("old"), a_key("new", signs_from=100.0)), max_lifetime=50.0)
    assert ring.kids(120.0) == ("old", "new")
    assert ring.kids(150.0) == ("new",)
