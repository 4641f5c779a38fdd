"""Classification of the headers of a check by their names."""

import pytest

from authgw.core.model import IdentityHeaders
from authgw.dialects import headers
from authgw.dialects.headers import RawHeaders
from authgw.web.header_layout import HeaderClassifier


def sort(sorter: HeaderClassifier, said: RawHeaders) -> tuple[RawHeaders, RawHeaders] | None:
    """Those that ask, those that show who asks; None if they want a closer look."""
    names, values = [name for name, _ in said], [value for _, value in said]
    shape = sorter.shape(names)
    if shape is None:
        return None
    asking = tuple(zip(shape.asking, shape.question(values), strict=True))
    return asking, tuple(zip(shape.showing, shape.credentials(values), strict=True))


def test_sorting_leaves_out_only_what_decides_nothing() -> None:
    sorter = HeaderClassifier(IdentityHeaders())
    asked = ((b"x-original-URL", b"u"), (b"Proxy-Connection", b"close"), (b"ORIGIN", b"o"))
    shown = ((b"authorization", b"a"), (b"Cookie", b"c"), (b"Cookie", b"d"))
    noise = ((b"X-Request-ID", b"1"), (b"User-Agent", b"x"))
    assert sort(sorter, (*noise, *asked, *shown)) == (asked, shown)
    assert sort(sorter, (*noise, *shown[:1], *asked[:1])) == (asked[:1], shown[:1])
    # In another order it might mean something else.
    assert sort(sorter, asked[::-1]) == (asked[::-1], ())


@pytest.mark.parametrize(
    "name",
    [
        *[b"Remote-User", b"remote_user", b"REMOTE.GROUPS", b"Remote\xa0Name"],
        *[b"Destination", b"X-HTTP-Method-Override", b"x_http_method", b"X-Rewrite-URL"],
        *[b"X_Original_URL", b"X-METHOD-OVERRIDE"],
        *[b"Expect", b"Upgrade", b"Content-Length", b"transfer-ENCODING"],
    ],
)
def test_sorting_gives_way_to_a_closer_look(name: bytes) -> None:
    sorter = HeaderClassifier(IdentityHeaders())
    for _ in range(2):
        assert sorter.shape((b"Host", name)) is None


def test_an_identity_header_may_have_any_name() -> None:
    assert HeaderClassifier(IdentityHeaders(user="Accept")).shape((b"accept",)) is None


def test_a_long_name_is_folded_and_not_remembered() -> None:
    remembered = headers._folded.cache_info().currsize
    assert headers.folded("X_" + "n" * 300) == "x-" + "n" * 300
    assert headers._folded.cache_info().currsize == remembered


def test_made_up_names_take_no_memory() -> None:
    sorter = HeaderClassifier(IdentityHeaders())
    for number in range(5000):
        assert sort(sorter, ((b"x-%d" % number, b""),)) == ((), ())
    assert len(sorter) == 1024
    assert sorter.shape((b"remote_user",)) is None
