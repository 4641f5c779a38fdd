"""The kinds of stores that `cache.url` can name."""

from authgw.storage.kinds import StoreKind
from authgw.storage.redis.kind import REDIS
from authgw.storage.sqlite.kind import EMBEDDED

KINDS: tuple[StoreKind, ...] = (EMBEDDED, REDIS)


def kind_of(url: str) -> StoreKind:
    """Return the kind of a store's URL.

    Raises:
        ValueError: no kind has such URLs; the message starts with a verb.
    """
    for kind in KINDS:
        if url.startswith(tuple(kind.prefixes)):
            return kind
    *others, last = (example for kind in KINDS for example in kind.examples)
    raise ValueError(f"is not the URL of a store: write {', '.join(others)} or {last}")
