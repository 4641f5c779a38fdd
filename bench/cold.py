"""Parts of a check of a token and a session that are not cached, each measured alone."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from authgw.core.keys import KeyRing
from authgw.core.ports import BatchStore
from authgw.core.session_codec import dump, load
from authgw.core.sessions import Session, Snapshot
from authgw.core.tokens import Issuer, TokenType
from authgw.files.key_files import load_keys, make_key
from authgw.storage.mirror import Mirror
from authgw.storage.redis.connect import connect
from authgw.storage.redis.store import RedisStore
from bench.gateways import lab
from bench.outcome import Benchmark, Outcome, Table
from bench.population import new_sessions, put, tokens

_AT_ONCE = 64
_IDLE = 86400.0  # seconds
_LIFE = 720 * 3600.0  # seconds


def measure(quick: bool) -> Outcome:
    """Time the parts: the least CPU of many runs each, since what disturbs only adds."""
    runs = 100 if quick else 400
    with lab() as made:
        redis, keys = made.redis(), made.folder("keys")
        make_key(keys, "ES256")
        sessions = list(new_sessions(_AT_ONCE * (runs + 1)))
        put(redis.client(), sessions)
        some = sessions[:_AT_ONCE]
        issuer = Issuer("authgw", "authgw", KeyRing(load_keys(keys), _LIFE))
        parts = {
            **_signed(issuer, tokens(keys, some, TokenType.ACCESS), runs),
            **_recorded(some, runs),
            **asyncio.run(_stored(redis.url, sessions, runs)),
        }
    rows = tuple(parts.items())
    title = f"Parts of a cold check, {_AT_ONCE} at once"
    table = Table(title, ("", "CPU us each"), rows, plotted=1)
    return Outcome({"parts_us": parts}, (table,), ("Redis is not in it, nor HTTP.",))


BENCHMARK = Benchmark("cold", "What a check of something never seen is made of.", measure)


def _signed(issuer: Issuer, texts: list[str], runs: int) -> dict[str, float]:
    now = time.time()
    key, message, hashed = generate_private_key(SECP256R1()), bytes(400), ECDSA(SHA256())
    signature, public = key.sign(message, hashed), key.public_key()

    def openssl() -> None:
        for _ in texts:
            public.verify(signature, message, hashed)

    def verify() -> None:
        for text in texts:
            issuer.verify(text, TokenType.ACCESS, now=now)

    return {
        "verify a token": _least(verify, runs),
        "- OpenSSL's ECDSA on P-256": _least(openssl, runs),
    }


def _recorded(sessions: list[Session], runs: int) -> dict[str, float]:
    texts = [dump(one).encode() for one in sessions]
    return {
        "read a record": _least(lambda: [load(text) for text in texts], runs),
        "write a record": _least(lambda: [dump(one) for one in sessions], runs),
    }


async def _stored(url: str, sessions: list[Session], runs: int) -> dict[str, float]:
    """Reading and confirming through redis-py and the mirror; each run has its own sessions."""
    store = RedisStore(connect(url), idle=_IDLE, session_max=_LIFE)
    batches = [sessions[n : n + _AT_ONCE] for n in range(0, len(sessions), _AT_ONCE)]
    try:
        await store.read_many([one.sid for one in batches.pop()])
        return {
            "ask the mirror, which asks Redis": await _read(store, batches),
            "confirm in Redis": await _confirmed(store, batches),
        }
    finally:
        await store.close()


async def _read(store: BatchStore, batches: list[list[Session]]) -> float:
    mirror = Mirror(store, max_staleness=600.0, deadline=5.0, capacity=1_000_000)

    async def look(batch: list[Session]) -> None:
        await asyncio.gather(*(mirror.look(one.sid) for one in batch))

    try:
        return min([await _spent(look, batch) for batch in batches])
    finally:
        mirror.close()


async def _confirmed(store: BatchStore, batches: list[list[Session]]) -> float:
    async def confirm(batch: list[Session]) -> None:
        seen = ((Snapshot(one, 0.0, dump(one)), replace(one, confirmed=True)) for one in batch)
        await store.replace_many(list(seen))

    return min([await _spent(confirm, batch) for batch in batches])


async def _spent(work: Callable[[list[Session]], Awaitable[None]], batch: list[Session]) -> float:
    began = time.thread_time()
    await work(batch)
    return (time.thread_time() - began) / len(batch) * 1e6


def _least(work: Callable[[], object], runs: int) -> float:
    """Microseconds of CPU for each of the _AT_ONCE that `work` does, in its best run."""
    spent = []
    for _ in range(runs):
        began = time.thread_time()
        work()
        spent.append(time.thread_time() - began)
    return min(spent) / _AT_ONCE * 1e6
