"""Parts of a check with a new token and session, each measured alone in this process."""

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

_BATCH = 64  # sessions
_IDLE = 86400.0  # seconds
_LIFETIME = 720 * 3600.0  # seconds


def measure(quick: bool) -> Outcome:
    """Time the parts: the minimum CPU time of many runs, since disturbances only add to it."""
    runs = 100 if quick else 400
    with lab() as made:
        redis, keys = made.redis(), made.directory("keys")
        make_key(keys, "ES256")
        sessions = list(new_sessions(_BATCH * (runs + 1)))
        put(redis.client(), sessions)
        batch = sessions[:_BATCH]
        issuer = Issuer("authgw", "authgw", KeyRing(load_keys(keys), _LIFETIME))
        parts = {
            **_signature_costs(issuer, tokens(keys, batch, TokenType.ACCESS), runs),
            **_record_costs(batch, runs),
            **asyncio.run(_store_costs(redis.url, sessions, runs)),
        }
    rows = tuple(parts.items())
    title = f"Parts of a cold check, {_BATCH} at once"
    table = Table(title, ("", "CPU us each"), rows, plotted=1)
    return Outcome({"parts_us": parts}, (table,), ("Without Redis and HTTP.",))


BENCHMARK = Benchmark("cold", "Parts of a cold check.", measure)


def _signature_costs(issuer: Issuer, texts: list[str], runs: int) -> dict[str, float]:
    now = time.time()
    key, message = generate_private_key(SECP256R1()), bytes(400)
    algorithm = ECDSA(SHA256(), deterministic_signing=True)
    signature, public = key.sign(message, algorithm), key.public_key()

    def sign() -> None:
        for _ in texts:
            key.sign(message, algorithm)

    def verify_by_public_key() -> None:
        for _ in texts:
            public.verify(signature, message, algorithm)

    def verify() -> None:
        for text in texts:
            issuer.verify(text, TokenType.ACCESS, now=now)

    return {
        "verify a token": _min_cpu(verify, runs),
        "- OpenSSL's signature on P-256": _min_cpu(sign, runs),
        "(its verification, not needed)": _min_cpu(verify_by_public_key, runs),
    }


def _record_costs(sessions: list[Session], runs: int) -> dict[str, float]:
    texts = [dump(session, compact=True).encode() for session in sessions]
    return {
        "read a record": _min_cpu(lambda: [load(text) for text in texts], runs),
        "write a record": _min_cpu(
            lambda: [dump(session, compact=True) for session in sessions], runs
        ),
    }


async def _store_costs(url: str, sessions: list[Session], runs: int) -> dict[str, float]:
    """Time reads and confirmations through redis-py and the mirror, with new sessions each run."""
    store = RedisStore(connect(url), idle=_IDLE, session_max=_LIFETIME)
    batches = [sessions[n : n + _BATCH] for n in range(0, len(sessions), _BATCH)]
    try:
        await store.read_many([session.sid for session in batches.pop()])
        return {
            "ask the mirror, which asks Redis": await _read_cost(store, batches),
            "confirm in Redis": await _confirmation_cost(store, batches),
        }
    finally:
        await store.close()


async def _read_cost(store: BatchStore, batches: list[list[Session]]) -> float:
    mirror = Mirror(store, max_staleness=600.0, deadline=5.0, capacity=1_000_000)

    async def read(batch: list[Session]) -> None:
        await asyncio.gather(*(mirror.get(session.sid) for session in batch))

    try:
        return min([await _cpu_of(read, batch) for batch in batches])
    finally:
        mirror.close()


async def _confirmation_cost(store: BatchStore, batches: list[list[Session]]) -> float:
    async def confirm(batch: list[Session]) -> None:
        changes = [
            (Snapshot(session, 0.0, dump(session, compact=True)), replace(session, confirmed=True))
            for session in batch
        ]
        await store.replace_many(changes)

    return min([await _cpu_of(confirm, batch) for batch in batches])


async def _cpu_of(work: Callable[[list[Session]], Awaitable[None]], batch: list[Session]) -> float:
    began = time.thread_time()
    await work(batch)
    return (time.thread_time() - began) / len(batch) * 1e6


def _min_cpu(work: Callable[[], object], runs: int) -> float:
    """Return microseconds of CPU per session of the fastest run; `work` handles _BATCH sessions."""
    spent = []
    for _ in range(runs):
        began = time.thread_time()
        work()
        spent.append(time.thread_time() - began)
    return min(spent) / _BATCH * 1e6
