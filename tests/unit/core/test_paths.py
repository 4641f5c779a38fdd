"""Canonical paths: ambiguities and readings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core.limits import MAX_COMBINING_MARKS
from authgw.core.paths import Ambiguity, canonical_path

A = Ambiguity


@pytest.mark.parametrize(
    ("raw", "text", "kinds"),
    [
        ("/", "/", set()),
        ("/a/b", "/a/b", set()),
        ("/%61dmin", "/admin", set()),
        ("/caf%C3%A9", "/café", set()),
        ("/a.b/...", "/a.b/...", set()),
        ("/%23", "/#", set()),
        ("/a%2Fb", "/a/b", {A.SLASH}),
        ("/a%2f..%2fadmin", "/a/../admin", {A.SLASH, A.DOT_SEGMENT}),
        ("/a/../b", "/a/../b", {A.DOT_SEGMENT}),
        ("/a/%2e%2E/b", "/a/../b", {A.DOT_SEGMENT}),
        ("/a/..;x/b", "/a/..;x/b", {A.DOT_SEGMENT, A.SEMICOLON}),
        ("/a;b", "/a;b", {A.SEMICOLON}),
        ("/a%3bb", "/a;b", {A.SEMICOLON}),
        ("//admin", "//admin", {A.DOUBLE_SLASH}),
        ("/%2fadmin", "//admin", {A.SLASH, A.DOUBLE_SLASH}),
        ("/a\\b", "/a\\b", {A.BACKSLASH, A.RAW_BACKSLASH}),
        ("/a%5cb", "/a\\b", {A.BACKSLASH}),
        ("/a%00", "/a\x00", {A.CONTROL}),
        ("/a%0d%0a", "/a\r\n", {A.CONTROL}),
        ("/a%c2%85", "/a\x85", {A.CONTROL}),
        ("/a#b", "/a#b", {A.FRAGMENT}),
        ("/%2561dmin", "/%61dmin", {A.PERCENT}),
        ("/100%", "/100%", {A.PERCENT}),
        ("/%zz", "/%zz", {A.PERCENT}),
        ("/a%252fb", "/a%2fb", {A.PERCENT}),
        ("/a%252e%252e/b", "/a%2e%2e/b", {A.PERCENT}),
        ("/%252e%252e/b", "/%2e%2e/b", {A.PERCENT, A.DOT_SEGMENT}),
        ("/%c0%ae", "/\udcc0\udcae", {A.NOT_UTF8, A.DOT_SEGMENT}),
        ("/caf%E9", "/caf\udce9", {A.NOT_UTF8}),
        ("/%u002e", "/%u002e", {A.PERCENT, A.DOT_SEGMENT}),
        ("/%ud800%udce9", "/%ud800%udce9", {A.PERCENT}),
        ("/%" + "25" * 80, "/%" + "25" * 79, {A.PERCENT, A.ENDLESS}),
        ("/a/....//b", "/a/....//b", {A.DOT_SEGMENT, A.DOUBLE_SLASH}),
    ],
)
def test_ambiguities(raw: str, text: str, kinds: set[Ambiguity]) -> None:
    path = canonical_path(raw)
    assert path.text == text
    assert path.ambiguities == kinds


def test_readings_of_an_ambiguous_path() -> None:
    assert canonical_path("/a").readings() == {"/a"}
    assert {"//admin", "/admin"} <= canonical_path("//admin").readings()
    assert {"/a/b", "/a%2fb"} <= canonical_path("/a%2Fb").readings()
    assert {"/%61dmin", "/admin"} <= canonical_path("/%2561dmin").readings()
    assert {"/admin;x/y", "/admin/y"} <= canonical_path("/admin;x/y").readings()


def test_an_unusual_name_has_readings_and_no_ambiguity() -> None:
    for raw, other in (("/a.", "/a"), ("/a..b", "/ab"), ("/a%3Fb", "/a"), ("/a:$b", "/a")):
        path = canonical_path(raw)
        assert not path.ambiguities
        assert not path.is_plain
        assert other in path.readings()
    for raw in ("/a/.b", "/a$b", "/a%20b", "/caf%C3%A9", "/.well-known/x"):
        assert canonical_path(raw).is_plain


@pytest.mark.parametrize("piece", ["%25;a//..b%2f%c3%a9", "....//", "%u002e;", "%ff%5c./b"])
def test_a_path_with_too_many_readings_is_never_admitted(piece: str) -> None:
    path = canonical_path("/" + piece * (30_000 // len(piece)))
    assert not path.is_admissible
    assert sum(map(len, path.readings())) < 8 * 30_000


def test_rounds_of_decoding_are_limited() -> None:
    path = canonical_path("/%" + "25" * 5000 + "2e")
    assert Ambiguity.PERCENT in path.ambiguities
    assert len(path.readings()) < 40


@given(st.text(max_size=60))
def test_any_text_is_accepted(raw: str) -> None:
    encodable = raw.encode("utf-8", "replace").decode()
    assert canonical_path("/" + encodable).readings()


@given(st.binary(max_size=60))
def test_any_bytes_are_accepted(raw: bytes) -> None:
    path = canonical_path("/" + raw.decode("utf-8", "surrogateescape"))
    assert path.text.encode("utf-8", "replace").decode() in path.readings()


@given(st.text(alphabet="abc/.-_~", max_size=20), st.data())
def test_encoding_unreserved_letters_changes_nothing(text: str, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text)))
    encoded = "".join(
        f"%{ord(char):02X}" if hit and char != "/" else char
        for char, hit in zip(text, chosen, strict=True)
    )
    plain, other = canonical_path("/" + text), canonical_path("/" + encoded)
    assert other.text == plain.text
    # In `/..%2E` a server that removes dot segments before it decodes may find a segment `..`.
    added = other.ambiguities - plain.ambiguities
    assert plain.ambiguities <= other.ambiguities
    assert not added or (added == {A.DOT_SEGMENT} and "..." in text)


@pytest.mark.parametrize(
    "raw", ["/%F0%8D%A0%80", "/%F0%8D%BF%BF", "/%25F0%258D%25A0%2580", "/a/%f0%8d%a0%80/.."]
)
def test_an_overlong_surrogate_stays_bytes(raw: str) -> None:
    path = canonical_path(raw)
    assert not path.is_plain
    assert path.ambiguities & {A.NOT_UTF8, A.PERCENT}


@given(st.lists(st.integers(0, 255), max_size=24))
def test_any_encoded_bytes_are_accepted(octets: list[int]) -> None:
    canonical_path("/" + "".join(f"%{octet:02x}" for octet in octets))


def test_too_many_combining_characters_are_ambiguous() -> None:
    """Normalisation would sort them in quadratic time."""
    hostile = "/a." + "\u0301" * 40 + "\u0320" * 40 + "/x;.."
    assert not canonical_path(hostile).is_admissible
    assert not canonical_path("/a" + "\u0301" * (MAX_COMBINING_MARKS + 1)).is_admissible
    assert canonical_path("/a" + "\u0301" * MAX_COMBINING_MARKS).is_admissible
