"""Reading raw headers: credentials and preflights."""

import pytest

from authgw.core.errors import AuthorizationMalformed
from authgw.dialects.headers import bearer, preflight_method


@pytest.mark.parametrize(
    "value", [b"Basic eDp5", b"Bearer", b"Bearer ", b"Bearer a b", b"", b"Bearer a,b", b"\xff"]
)
def test_what_is_no_bearer_token(value: bytes) -> None:
    with pytest.raises(AuthorizationMalformed):
        bearer([(b"Authorization", value)])


def test_one_header_with_one_token() -> None:
    assert bearer([]) is None
    assert bearer([(b"authorization", b"bearer  a.b-c_d~+/==")]) == "a.b-c_d~+/=="
    with pytest.raises(AuthorizationMalformed):
        bearer([(b"Authorization", b"Bearer a"), (b"authorization", b"Bearer a")])


def test_a_preflight_has_both_headers_once() -> None:
    origin, asked = (b"Origin", b"https://a"), (b"Access-Control-Request-Method", b"PUT")
    assert preflight_method([origin, asked]) == "PUT"
    for headers in ([origin], [asked], [origin, asked, asked], [origin, origin, asked]):
        assert preflight_method(headers) is None
