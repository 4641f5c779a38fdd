"""Classification of a check's headers by their names."""

import pytest

from authgw.config.schema import HeaderSettings
from authgw.core.model import IdentityHeaders
from authgw.dialects import headers
from authgw.dialects.headers import RawHeaders
from authgw.forward_auth.header_layout import HeaderClassifier


@pytest.fixture
def classifier() -> HeaderClassifier:
    return HeaderClassifier(HeaderSettings().identity)


def select(classifier: HeaderClassifier, sent: RawHeaders) -> tuple[RawHeaders, RawHeaders] | None:
    """Return the headers of the target and the credentials, or None if they are uncacheable."""
    names, values = [name for name, _ in sent], [value for _, value in sent]
    layout = classifier.layout(names)
    if layout is None:
        return None
    target = tuple(zip(layout.target_names, layout.target(values), strict=True))
    return target, tuple(zip(layout.credential_names, layout.credentials(values), strict=True))


def test_only_irrelevant_headers_are_left_out(classifier: HeaderClassifier) -> None:
    target = ((b"x-original-URL", b"u"), (b"Proxy-Connection", b"close"), (b"ORIGIN", b"o"))
    credentials = ((b"authorization", b"a"), (b"Cookie", b"c"), (b"Cookie", b"d"))
    noise = ((b"X-Request-ID", b"1"), (b"User-Agent", b"x"))
    assert select(classifier, (*noise, *target, *credentials)) == (target, credentials)
    mixed = (*noise, *credentials[:1], *target[:1])
    assert select(classifier, mixed) == (target[:1], credentials[:1])
    # The order of the headers can matter.
    assert select(classifier, target[::-1]) == (target[::-1], ())


@pytest.mark.parametrize(
    "name",
    [
        *[b"Remote-User", b"remote_user", b"REMOTE.GROUPS", b"Remote\xa0Name"],
        *[b"Destination", b"X-HTTP-Method-Override", b"x_http_method", b"X-Rewrite-URL"],
        *[b"X_Original_URL", b"X-METHOD-OVERRIDE"],
        *[b"Expect", b"Upgrade", b"Content-Length", b"transfer-ENCODING"],
    ],
)
def test_uncacheable_header_gives_no_layout(classifier: HeaderClassifier, name: bytes) -> None:
    for _ in range(2):
        assert classifier.layout((b"Host", name)) is None


def test_identity_header_may_have_any_name() -> None:
    classifier = HeaderClassifier(IdentityHeaders({"user": "Accept"}))
    assert classifier.layout((b"accept",)) is None


def test_long_name_is_folded_and_not_cached() -> None:
    cached = headers._folded.cache_info().currsize
    assert headers.folded("X_" + "n" * 300) == "x-" + "n" * 300
    assert headers._folded.cache_info().currsize == cached


def test_number_of_cached_names_is_limited(classifier: HeaderClassifier) -> None:
    for number in range(5000):
        assert select(classifier, ((b"x-%d" % number, b""),)) == ((), ())
    assert len(classifier) == 1024
    assert classifier.layout((b"remote_user",)) is None
