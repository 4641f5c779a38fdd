"""What headers of a check can matter for, which is told by their names alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter

from authgw.core.limits import MAX_CACHED_NAMES
from authgw.core.model import IdentityHeaders
from authgw.dialects.further import NAMES
from authgw.dialects.headers import TARGET_HEADERS, folded, folded_names

Taking = Callable[[Sequence[bytes]], tuple[bytes, ...]]  # some of the values

# What a question to NGINX's dialect can depend on, in lower case, but for the credentials.
_OF_A_QUESTION = frozenset(
    {
        *(name.lower() for name in TARGET_HEADERS),
        "x-forwarded-for",
        "accept",
        "x-requested-with",
        "sec-fetch-mode",
        "access-control-request-method",
        "origin",
        "connection",
        "proxy-connection",  # llhttp, which reads for aiohttp, takes it for the same
    }
)
_CREDENTIALS = frozenset({"authorization", "cookie"})
# A head with one of these needs a closer look.
_UNUSUAL = frozenset({"expect", "upgrade", "content-length", "transfer-encoding"})


class _HeaderKind(Enum):
    """What a header can matter for."""

    NOTHING = 0
    QUESTION = 1
    CREDENTIAL = 2
    UNUSUAL = 3


@dataclass(frozen=True, slots=True)
class HeaderLayout:
    """Where among headers of certain names in their order stands what an answer of 200 rests on.

    `asking` are the names of those that ask, `showing` of those that show who asks; `question` and
    `credentials` take out what came under them.
    """

    asking: tuple[bytes, ...]
    question: Taking
    showing: tuple[bytes, ...]
    credentials: Taking


class HeaderClassifier:
    """Sorts headers by what they can matter for; remembers at most 1,024 spellings of names."""

    def __init__(self, identity: IdentityHeaders) -> None:
        self._identity = folded_names(identity)
        self._kinds: dict[bytes, _HeaderKind] = {}

    def __len__(self) -> int:
        return len(self._kinds)

    def shape(self, names: Sequence[bytes]) -> HeaderLayout | None:
        """What headers of these names can matter for.

        None if one wants a closer look: of identity, of a further target, of a body, Expect or
        Upgrade.
        """
        kinds = [self._kinds.get(name) or self._kind(name) for name in names]
        if _HeaderKind.UNUSUAL in kinds:
            return None
        asking = [place for place, kind in enumerate(kinds) if kind is _HeaderKind.QUESTION]
        showing = [place for place, kind in enumerate(kinds) if kind is _HeaderKind.CREDENTIAL]
        return HeaderLayout(
            tuple(names[place] for place in asking),
            _taking(asking),
            tuple(names[place] for place in showing),
            _taking(showing),
        )

    def _kind(self, name: bytes) -> _HeaderKind:
        kind = self._told(name.decode("latin-1").lower())
        if len(self._kinds) < MAX_CACHED_NAMES:
            self._kinds[name] = kind
        return kind

    def _told(self, name: str) -> _HeaderKind:
        if name in _UNUSUAL or folded(name) in self._identity:
            return _HeaderKind.UNUSUAL
        if name in _CREDENTIALS:
            return _HeaderKind.CREDENTIAL
        if name in _OF_A_QUESTION:
            return _HeaderKind.QUESTION
        # Rarely sent, and each would have to be part of what is remembered.
        return _HeaderKind.UNUSUAL if folded(name) in NAMES else _HeaderKind.NOTHING


def _taking(places: Sequence[int]) -> Taking:
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple(values[place] for place in places)
