"""Password policy, password hashes and decoys."""

import argon2
import pytest

from authgw.identity.passwords import (
    DUMMY_HASH,
    WeakPasswordError,
    check_new,
    decoy_like,
    digest,
    hash_password,
    is_hash,
    needs_rehash,
    normalise,
    verify,
)

ABOUT = ("alice", "Alice Liddell", "liddell@wonderland.example")
GOOD = "tuck-vole-brim-seventy"


def test_hash_parameters_follow_owasp() -> None:
    password_hash = hash_password(GOOD)
    assert password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert hash_password(GOOD) != password_hash
    assert verify(password_hash, GOOD)
    assert not verify(password_hash, GOOD + "x")
    assert is_hash(password_hash)
    assert not needs_rehash(password_hash)
    assert is_hash(DUMMY_HASH)
    assert not needs_rehash(DUMMY_HASH)


def test_equivalent_spellings_match() -> None:
    # U+FB01 is the ligature of "fi", U+0065 U+0301 are a decomposed "é", U+00A0 is a space.
    assert normalise("\ufb01anc\u0065\u0301\u00a0x") == "fianc\u00e9 x"
    assert verify(hash_password("fianc\u00e9 x"), "\ufb01ance\u0301\u00a0x")


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "hush",
        "$argon2id$x",
        "$argon2id$v=19$m=8,t=1,p=1$!$!",
        pytest.param(DUMMY_HASH[:60], id="cut short"),
        "\ud800",
        pytest.param(DUMMY_HASH.replace("$argon2id", "$argon3"), id="argon3"),
    ],
)
def test_malformed_hash_matches_no_password(malformed: str) -> None:
    assert not verify(malformed, GOOD)
    assert not is_hash(malformed)


def test_malformed_hash_needs_no_rehash() -> None:
    assert not needs_rehash("hush")


def test_surrogate_password_matches_no_hash() -> None:
    assert not verify(DUMMY_HASH, "\ud800")


def test_other_parameters_and_argon2_variants() -> None:
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(GOOD)
    assert verify(weak, GOOD)
    assert needs_rehash(weak)
    assert is_hash(weak)
    assert not is_hash(weak.replace("$argon2id", "$argon2i"))


@pytest.mark.parametrize("length", [8, 15, 16, 17, 32])
def test_decoy_has_the_parameters_of_its_model(length: int) -> None:
    hasher = argon2.PasswordHasher(
        time_cost=1, memory_cost=64, parallelism=1, hash_len=length, salt_len=length
    )
    model = hasher.hash(GOOD)
    decoy = decoy_like(model)
    assert len(decoy) == len(model)
    assert decoy.split("$")[:4] == model.split("$")[:4]
    assert decoy.split("$")[4] != model.split("$")[4]
    # A malformed hash would be rejected without computation.
    with pytest.raises(argon2.exceptions.VerifyMismatchError):
        hasher.verify(decoy, GOOD)


@pytest.mark.parametrize("good", [GOOD, "vqxplmmnqazjw", "πλοῦτος καὶ ὑγίεια"])
def test_no_composition_rules(good: str) -> None:
    check_new(good, min_length=8, about=ABOUT)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("", "use at least 8 characters"),
        ("tG9#x!q", "use at least 8 characters"),
        # Eight code points, seven after normalisation.
        ("tG9#x!e\u0301", "use at least 8 characters"),
        ("password1", "a very common password"),
        ("liddell@wonderland.example", "too easily guessed"),
        ("Alice Liddell", "too easily guessed"),
        ("wonderland7", "too easily guessed"),
        ("abcdefghijkl", "too easily guessed"),
        # zxcvbn accepts at most 72 characters.
        ("a" * 100, "too easily guessed"),
        ("tuck-vole-brim-\x07seventy", "a control character"),
        ("tuck-vole-brim-\ud800seventy", "a control character"),
        ("tuck-vole-brim-seventy" * 47, "at most 1024 bytes"),
    ],
)
def test_weak_passwords_are_refused_and_not_repeated(bad: str, message: str) -> None:
    with pytest.raises(WeakPasswordError, match=message) as caught:
        check_new(bad, min_length=8, about=ABOUT)
    assert not bad or bad not in str(caught.value)


def test_public_information_makes_password_guessable() -> None:
    check_new("liddell@wonderland.example", min_length=8, about=())
    for password in ("liddell@wonderland.example", "Liddell@Wonderland.example7", "wonderland.7"):
        with pytest.raises(WeakPasswordError, match="guessed"):
            check_new(password, min_length=8, about=ABOUT)


def test_digest_is_sha256() -> None:
    assert digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert len(digest("\ud800")) == 64
