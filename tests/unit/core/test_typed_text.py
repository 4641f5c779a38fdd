"""Canonical form of typed and pasted text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core.typed_text import comparison_key, pasted, typed_code, typed_name


def test_pasted_text_has_no_edges_and_no_invisible_characters() -> None:
    assert pasted("\n Jose\u200b\u0301\u00a0") == "José"


def test_a_user_name_is_composed_and_keeps_its_case() -> None:
    assert typed_name(" Jose\u0301\n") == "José"
    assert typed_name("a\u200bb") == "a\u200bb"


@pytest.mark.parametrize("spelling", ["José", "JOSÉ", "jose\u0301", " jo\u00adsé ", "\uff4aosé"])
def test_spellings_of_a_name_have_the_same_key(spelling: str) -> None:
    assert comparison_key(spelling) == comparison_key("josé")


@given(st.text(st.characters(max_codepoint=0x7F)))
def test_a_name_of_ascii_has_the_key_of_all_names(name: str) -> None:
    assert comparison_key(name) == pasted(unicodedata.normalize("NFKC", name).casefold())


@pytest.mark.parametrize(
    "text",
    [
        "123456",
        "123 456",
        "123\u00a0456\n",
        "123-456",
        "123\u2013456",
        "123\u2212456",
        "\uff1123456",
    ],
)
def test_a_code_has_no_separators(text: str) -> None:
    assert typed_code(text) == "123456"
