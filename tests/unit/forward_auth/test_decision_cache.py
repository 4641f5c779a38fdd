"""DecisionCache: refusals by target and reason, and callers, within their limits."""

import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from authgw.config.schema import HeaderSettings
from authgw.core.audit import Event
from authgw.core.limits import (
    MAX_CACHED_REFUSAL_BYTES,
    MAX_CACHED_REFUSALS,
    MAX_REFUSED_LAYOUTS,
)
from authgw.core.model import Principal
from authgw.core.session_codec import dump
from authgw.core.sessions import Snapshot
from authgw.core.tokens import Token, TokenType
from authgw.dialects.base import Subrequest
from authgw.dialects.headers import RawHeaders
from authgw.dialects.responses import allowed
from authgw.forward_auth import decision_cache, header_layout
from authgw.forward_auth.decision_cache import PATH, CachedRefusal, CheckKey, DecisionCache
from authgw.forward_auth.response_bytes import Response
from authgw.services.identify import Identification
from authgw.services.results import Identity
from tests.support.builders import NOW, numbered

RULE = 3
CALLERS = 5_000


@pytest.fixture
def cache() -> DecisionCache:
    # A refusal depends on no identity.
    return DecisionCache(cast(Identification, None), HeaderSettings().identity)


def key_of(cache: DecisionCache, *headers: tuple[bytes, bytes], peer: str = "::1") -> CheckKey:
    key = cache.key_of(Subrequest("GET", PATH, headers, peer))
    assert key is not None
    return key


def target(number: int = 0) -> tuple[bytes, bytes]:
    return (b"X-Original-URL", b"http://a/%d" % number)


def refusal(reason: str = "token_missing", size: int = 10) -> CachedRefusal:
    response = Response(401, reason=reason, prepared=bytes(size))
    return CachedRefusal(response, Event("deny", "r", "::1", reason=reason))


def test_a_refusal_is_for_its_target_and_reason_only(cache: DecisionCache) -> None:
    added = refusal()
    cache.add_refusal(key_of(cache, target()), RULE, added)
    same = key_of(cache, (b"User-Agent", b"x"), target(), (b"Authorization", b"Bearer x"))
    assert (same.rule, same.refusal("token_missing")) == (RULE, added)
    assert same.refusal("token_invalid") is None
    for other in (key_of(cache, target(1)), key_of(cache, target(), peer="::2")):
        assert (other.rule, other.refusal("token_missing")) == (None, None)


def test_only_a_request_without_credentials_gets_the_anonymous_refusal(
    cache: DecisionCache,
) -> None:
    agent = (b"User-Agent", b"x")
    cache.add_refusal(key_of(cache, target(2), agent), RULE, refusal())
    with_token = key_of(cache, target(), (b"Authorization", b"Bearer x"))
    cache.add_refusal(with_token, RULE, refusal())
    bare = key_of(cache, target(), agent)
    # That of a caller with credentials says nothing of a request without any.
    assert anonymous(cache, bare.names, target()[1], b"x") is None
    added = refusal()
    cache.add_refusal(bare, RULE, added)
    assert anonymous(cache, bare.names, target()[1], b"y") == added
    assert anonymous(cache, bare.names, target()[1], b"x", peer="::2") is None
    assert anonymous(cache, bare.names, target(1)[1], b"x") is None
    for name in (b"Authorization", b"Cookie", b"X-Original-Method"):
        other = key_of(cache, target(), (name, b"x"))
        cache.add_refusal(other, RULE, refusal())
        credential = name != b"X-Original-Method"
        assert (anonymous(cache, other.names, target()[1], b"x") is None) is credential


def anonymous(
    cache: DecisionCache, names: tuple[bytes, ...], *values: bytes, peer: str = "::1"
) -> CachedRefusal | None:
    key = cache.lookup(peer, names, values)
    assert isinstance(key, CheckKey)
    return key.anonymous_refusal


def test_keys_of_a_known_list_of_names_are_those_of_the_request(cache: DecisionCache) -> None:
    headers = ((b"X-Request-ID", b"r1"), target(), (b"Authorization", b"Bearer x"))
    names = tuple(name for name, _ in headers)
    values = [value + b" \t" if name == b"Authorization" else value for name, value in headers]
    assert cache.lookup("::1", names, values) is None
    cache.add_refusal(key_of(cache, *headers), RULE, refusal())
    key = cache.lookup("::1", names, values)
    assert isinstance(key, CheckKey)
    assert (key.rule, key.target) == (RULE, key_of(cache, *headers).target)
    assert key.request == Subrequest("GET", PATH, headers, "::1")
    assert key.request_id == b"r1"
    assert key.credentials == ((b"Authorization", b"Bearer x"),)


def test_a_refused_target_has_no_cached_response(cache: DecisionCache) -> None:
    key = key_of(cache, target())
    cache.add_refusal(key, RULE, refusal())
    assert isinstance(cache.lookup("::1", key.names, [target()[1]]), CheckKey)


def test_the_oldest_target_makes_room(cache: DecisionCache) -> None:
    for number in range(MAX_CACHED_REFUSALS + 1):
        cache.add_refusal(key_of(cache, target(number)), RULE, refusal())
    found = [
        key_of(cache, target(number)).refusal("token_missing") is not None
        for number in range(MAX_CACHED_REFUSALS + 1)
    ]
    assert found == [False] + [True] * MAX_CACHED_REFUSALS


@pytest.mark.parametrize(("excess", "is_cached"), [(0, True), (1, False)])
def test_a_large_refusal_is_not_cached(cache: DecisionCache, excess: int, is_cached: bool) -> None:
    cache.add_refusal(
        key_of(cache, target()), RULE, refusal(size=MAX_CACHED_REFUSAL_BYTES + excess)
    )
    key = key_of(cache, target())
    assert (key.refusal("token_missing") is not None) is is_cached


def test_lists_of_names_are_classified_once_and_bounded(
    cache: DecisionCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    classified: list[object] = []
    real: Callable[..., Any] = header_layout.HeaderClassifier.layout

    def layout(self: header_layout.HeaderClassifier, names: tuple[bytes, ...]) -> Any:
        classified.append(names)
        return real(self, names)

    monkeypatch.setattr(header_layout.HeaderClassifier, "layout", layout)
    lists: list[RawHeaders] = [
        (target(), (b"X-%d" % number, b"")) for number in range(MAX_REFUSED_LAYOUTS + 1)
    ]
    for headers in lists:
        cache.add_refusal(key_of(cache, *headers), RULE, refusal())
    classified.clear()
    for headers in lists:
        key_of(cache, *headers)
    assert classified == [(b"X-Original-URL", b"X-0")]


def add_caller(cache: DecisionCache, number: int, *, groups: int = 1, compact: bool = True) -> None:
    """Add a caller, with values of its own as a request and a store bring them."""
    names = tuple(f"group-{place}" for place in range(groups))
    session = replace(numbered(number, f"user-{number:06}"), groups=names)
    token = Token(TokenType.ACCESS, session.sub, session.sid, "jti", 0, NOW, NOW + number)
    principal = Principal(session.sub, session.sid, session.groups, session.profile)
    snapshot = Snapshot(session, NOW, dump(session, compact=compact))
    identity = Identity(principal, token, session, snapshot, 0, NOW)
    response = Response(200, allowed(principal, HeaderSettings().identity).headers)
    key = key_of(cache, target(), (b"Authorization", b"Bearer %d" % number))
    # The first use only marks the credentials.
    for _ in range(2):
        cache.add(key, RULE, identity, response)


def is_cached(cache: DecisionCache, number: int) -> bool:
    key = key_of(cache, target(), (b"Authorization", b"Bearer %d" % number))
    return key.caller in cache._callers


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("groups", [1, 20, 100])
def test_a_caller_takes_the_memory_that_its_bound_counts(
    cache: DecisionCache, groups: int, compact: bool
) -> None:
    add_caller(cache, CALLERS)
    counted = cache._callers_bytes
    gc.collect()
    tracemalloc.start()
    for number in range(CALLERS):
        add_caller(cache, number, groups=groups, compact=compact)
    gc.collect()
    measured, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert all(is_cached(cache, number) for number in range(CALLERS))
    assert measured == pytest.approx(cache._callers_bytes - counted, rel=0.25)


def test_the_oldest_callers_make_room(
    cache: DecisionCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        add_caller(cache, number)
    monkeypatch.setattr(decision_cache, "MAX_CACHED_CALLERS_BYTES", cache._callers_bytes)
    add_caller(cache, 0)  # now the youngest
    add_caller(cache, 3)
    assert [is_cached(cache, number) for number in range(4)] == [True, False, True, True]
    assert cache._callers_bytes == sum(entry.size for entry in cache._callers.values())
