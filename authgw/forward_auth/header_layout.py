"""Classifies headers of a check by name: target, credential, irrelevant, uncacheable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter

from authgw.core.limits import MAX_CACHED_NAMES
from authgw.core.model import IdentityHeaders
from authgw.dialects.further import NAMES
from authgw.dialects.headers import folded, folded_names
from authgw.dialects.registry import TARGET_HEADERS

Selector = Callable[[Sequence[bytes]], tuple[bytes, ...]]  # selects some of the values

# All headers, in lower case, on which the deciding rule can depend in NGINX's dialect.
_TARGET_NAMES = frozenset(
    {
        *(name.lower() for name in TARGET_HEADERS),
        "x-forwarded-for",
        "accept",
        "x-requested-with",
        "sec-fetch-mode",
        "access-control-request-method",
        "origin",
        "connection",
        "proxy-connection",  # llhttp, aiohttp's parser, treats it as Connection
    }
)
_REQUEST_ID = b"x-request-id"
_CREDENTIALS = frozenset({"authorization", "cookie"})
# A request with any of these is not cached.
_UNCACHEABLE = frozenset({"expect", "upgrade", "content-length", "transfer-encoding"})


class _HeaderKind(Enum):
    """The influence of a header on the response."""

    IRRELEVANT = 0
    TARGET = 1
    CREDENTIAL = 2
    UNCACHEABLE = 3


@dataclass(frozen=True, slots=True)
class HeaderLayout:
    """Positions, in headers with certain names in a certain order, of the relevant values.

    `target` selects the values on which the deciding rule depends, `credentials` those of the
    credentials. `request_id` is the position of the first X-Request-ID, or None.
    """

    target_names: tuple[bytes, ...]
    target: Selector
    credential_names: tuple[bytes, ...]
    credentials: Selector
    request_id: int | None


class HeaderClassifier:
    """Classifies headers by name; caches at most 1,024 spellings of names."""

    def __init__(self, identity: IdentityHeaders) -> None:
        self._identity = folded_names(identity)
        self._kinds: dict[bytes, _HeaderKind] = {}

    def __len__(self) -> int:
        return len(self._kinds)

    def layout(self, names: Sequence[bytes]) -> HeaderLayout | None:
        """Return the layout of headers with these names, or None if a request is uncacheable.

        That is a request with an identity header, a further target, a body, Expect or Upgrade.
        """
        kinds = [self._kinds.get(name) or self._kind(name) for name in names]
        if _HeaderKind.UNCACHEABLE in kinds:
            return None
        targets = [index for index, kind in enumerate(kinds) if kind is _HeaderKind.TARGET]
        credentials = [index for index, kind in enumerate(kinds) if kind is _HeaderKind.CREDENTIAL]
        return HeaderLayout(
            tuple(names[index] for index in targets),
            _selector(targets),
            tuple(names[index] for index in credentials),
            _selector(credentials),
            next((i for i, name in enumerate(names) if name.lower() == _REQUEST_ID), None),
        )

    def _kind(self, name: bytes) -> _HeaderKind:
        kind = self._classify(name.decode("latin-1").lower())
        if len(self._kinds) < MAX_CACHED_NAMES:
            self._kinds[name] = kind
        return kind

    def _classify(self, name: str) -> _HeaderKind:
        if name in _UNCACHEABLE or folded(name) in self._identity:
            return _HeaderKind.UNCACHEABLE
        if name in _CREDENTIALS:
            return _HeaderKind.CREDENTIAL
        if name in _TARGET_NAMES:
            return _HeaderKind.TARGET
        # Further targets are rare, and each would have to be a part of the cache's keys.
        return _HeaderKind.UNCACHEABLE if folded(name) in NAMES else _HeaderKind.IRRELEVANT


def _selector(indexes: Sequence[int]) -> Selector:
    if len(indexes) > 1:
        return itemgetter(*indexes)
    if not indexes:
        return lambda _: ()
    (index,) = indexes  # a single credential, as in most checks
    return lambda values: (values[index],)
