"""Strict JSON: texts that parsers interpret differently are refused."""

from contextlib import suppress

import pytest

from authgw.core.strict_json import read_object


def test_objects() -> None:
    assert read_object(b' \t\r\n{"a": [1, "x"]} ') == {"a": [1, "x"]}
    assert read_object(b'{"a": "\\u00e9\\ud83d\\ude00"}') == {"a": "é😀"}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"1",
        b"[]",
        b"null",
        b"{} {}",
        b"{}x",
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": "\\ud800"}',
        b'{"\\udc00": 1}',
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
        b"\xc2\xa0{}",
        b'{"a": ' + b"[" * 100_000,
    ],
)
def test_other_texts_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_object(raw)


def test_no_depth_of_nesting_escapes_as_another_error() -> None:
    """The check of surrogates descends as well, and has its limit at another depth."""
    for depth in range(1, 2_000):
        for begin, end in ((b"[", b"]"), (b'{"a":', b"}")):
            raw = b'{"a": "\\u0041", "b": ' + begin * depth + b"1" + end * depth + b"}"
            with suppress(ValueError):
                read_object(raw)
