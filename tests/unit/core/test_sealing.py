"""Sealed texts can be opened for their own use only, and not after any change."""

from secrets import token_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authgw.core.keys import KeyRing, key_from_secret
from authgw.core.sealing import SealBrokenError, Sealer
from tests.support.builders import NOW, a_key

KIND, SID = "refresh_token", "s" * 44
OLD, NEW = a_key("old"), a_key("new", signs_from=NOW)
RING = KeyRing((OLD, NEW), max_lifetime=60.0)
SEALER = Sealer(RING, "https://auth.example.com", random=token_bytes)
SECRET = "the refresh token \u00e4"
SEALED = SEALER.seal(KIND, SID, SECRET, NOW)


@given(st.text(st.characters(codec="utf-8")))
def test_a_sealed_text_is_opened_unchanged(text: str) -> None:
    sealed = SEALER.seal(KIND, SID, text, NOW)
    assert SEALER.unseal(KIND, SID, sealed) == text
    assert len(text) < 8 or text not in sealed


def test_a_sealed_text_names_its_version_and_key() -> None:
    version, kid, nonce, _ = SEALED.split("|")
    assert (version, kid, len(nonce)) == ("v1", "new", 48)
    assert SEALER.seal(KIND, SID, SECRET, NOW - 1).split("|")[1] == "old"


def test_equal_texts_are_sealed_differently() -> None:
    assert SEALER.seal(KIND, SID, SECRET, NOW).split("|")[2:] != SEALED.split("|")[2:]


def test_all_randomness_is_passed_in() -> None:
    fixed = Sealer(RING, "https://auth.example.com", random=bytes)
    sealed = fixed.seal(KIND, SID, SECRET, NOW)
    assert sealed == fixed.seal(KIND, SID, SECRET, NOW)
    assert SEALER.unseal(KIND, SID, sealed) == SECRET


def test_each_kind_issuer_and_salt_has_a_key_of_its_own() -> None:
    uses = [(KIND, "i", b"a"), ("id_token", "i", b"a"), (KIND, "j", b"a"), (KIND, "i", b"b")]
    starts = set()
    for kind, issuer, salt in uses:
        # With an equal initialization vector, the same key would give the same ciphertext.
        nonce = salt * 24 + bytes(12)
        sealer = Sealer(RING, issuer, random=lambda _, nonce=nonce: nonce)  # type: ignore[misc]  # a default binds the value
        starts.add(sealer.seal(kind, SID, SECRET, NOW).rpartition("|")[2][:20])
    assert len(starts) == len(uses)


def test_a_retired_key_opens_while_it_is_in_the_ring() -> None:
    sealed = SEALER.seal(KIND, SID, SECRET, NOW - 1)
    assert RING.verifying_key("old", NOW + 61) is None
    assert SEALER.unseal(KIND, SID, sealed) == SECRET
    removed = Sealer(
        KeyRing((NEW,), max_lifetime=60.0), "https://auth.example.com", random=token_bytes
    )
    with pytest.raises(SealBrokenError):
        removed.unseal(KIND, SID, sealed)


def test_texts_of_a_previous_issuer_can_be_opened() -> None:
    renamed = Sealer(
        RING, "https://login.example.com", ("https://auth.example.com",), random=token_bytes
    )
    assert renamed.unseal(KIND, SID, SEALED) == SECRET
    with pytest.raises(SealBrokenError):
        SEALER.unseal(KIND, SID, renamed.seal(KIND, SID, SECRET, NOW))


def test_the_name_of_a_key_may_contain_the_separator() -> None:
    odd = Sealer(KeyRing((a_key("a|b"),), max_lifetime=60.0), "i", random=token_bytes)
    assert odd.unseal(KIND, SID, odd.seal(KIND, SID, SECRET, NOW)) == SECRET


def test_a_secret_key_seals_as_well() -> None:
    sealer = Sealer(
        KeyRing((key_from_secret("h", b"x" * 32),), max_lifetime=60.0), "i", random=token_bytes
    )
    assert sealer.unseal(KIND, SID, sealer.seal(KIND, SID, SECRET, NOW)) == SECRET


@pytest.mark.parametrize(
    ("issuer", "kind", "sid"),
    [
        ("https://auth.example.com", "id_token", SID),
        ("https://auth.example.com", KIND, "t" * 44),
        ("https://auth.example.com", KIND, ""),
        ("https://other.example.com", KIND, SID),
        ("", f"{KIND}/https://auth.example.com", SID),
    ],
)
def test_a_text_for_another_use_cannot_be_opened(issuer: str, kind: str, sid: str) -> None:
    with pytest.raises(SealBrokenError):
        Sealer(RING, issuer, random=token_bytes).unseal(kind, sid, SEALED)


def test_another_key_of_this_name_cannot_open() -> None:
    foreign = Sealer(
        KeyRing((a_key("new"),), max_lifetime=60.0), "https://auth.example.com", random=token_bytes
    )
    with pytest.raises(SealBrokenError):
        foreign.unseal(KIND, SID, SEALED)


def test_kinds_and_issuers_that_join_to_the_same_text_differ() -> None:
    sealed = Sealer(RING, "b/c", random=token_bytes).seal("a", SID, SECRET, NOW)
    with pytest.raises(SealBrokenError):
        Sealer(RING, "c", random=token_bytes).unseal("a/b", SID, sealed)


@given(st.integers(0, len(SEALED) - 1), st.characters(codec="utf-8"))
def test_no_text_with_another_character_can_be_opened(place: int, character: str) -> None:
    changed = SEALED[:place] + character + SEALED[place + 1 :]
    if changed != SEALED:
        with pytest.raises(SealBrokenError):
            SEALER.unseal(KIND, SID, changed)


def test_no_single_character_of_base64url_can_be_changed() -> None:
    # Every place, also the stray bits of the last character.
    for place, was in enumerate(SEALED):
        for character in "AaBbZz09-_=|":
            if character != was:
                changed = SEALED[:place] + character + SEALED[place + 1 :]
                with pytest.raises(SealBrokenError):
                    SEALER.unseal(KIND, SID, changed)


@given(st.text())
@example("v1|new||")
@example("v1|new|x|x")
@example("v1|new|\u00e4|x")
@example("v1|new|" + "A" * 44 + "|AA")
@example("v1|new|" + "A" * 48 + "|")
@example(SEALED + "=")
@example(SEALED[:-1])
@example(SEALED + "A")
@example(SEALED.replace("v1", "v2"))
@example(SEALED.replace("new", "old"))
def test_any_other_text_cannot_be_opened(text: str) -> None:
    with pytest.raises(SealBrokenError):
        SEALER.unseal(KIND, SID, text)
