"""Large numbers of sessions: their records in Redis, as after logins, and their tokens."""

import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from redis import Redis

from authgw.core.keys import KeyRing
from authgw.core.session_codec import dump
from authgw.core.sessions import Device, Session, generation, new_sid, subject_hash
from authgw.core.tokens import Issuer, TokenType
from authgw.files.key_files import load_keys
from bench.gateways import CLIENT

_ACCESS = 900.0  # seconds, as auth.access_lifetime
_LIFETIME = 720 * 3600.0  # seconds, as auth.refresh_lifetime
_IDLE_MS = 24 * 3600 * 1000  # as auth.auto_logout
_BATCH = 2000  # sessions per pipeline


def new_sessions(count: int, first: int = 1) -> Iterator[Session]:
    """Generate sessions of `count` different subjects, as after their logins."""
    now = time.time()
    return (_session(first + number, now) for number in range(count))


def put(redis: "Redis", sessions: Iterable[Session]) -> None:
    """Write the records and indexes that the store would have written (storage/redis/store.py)."""
    remaining = iter(sessions)
    while batch := list(islice(remaining, _BATCH)):
        pipe = redis.pipeline(transaction=False)
        for session in batch:
            prefix = f"authgw:{{{subject_hash(session.sub)}}}:"
            pipe.set(f"{prefix}s:{session.sid}", dump(session, compact=True), px=_IDLE_MS)
            pipe.zadd(f"{prefix}i", {session.sid: int(session.created_at * 1_000_000)}, nx=True)
        pipe.execute()


def tokens(keys: Path, sessions: Sequence[Session], kind: TokenType) -> list[str]:
    """Return a token of each session, signed with the gateways' own key."""
    issuer = Issuer("authgw", "authgw", KeyRing(load_keys(keys), _LIFETIME))
    now = time.time()
    return [issuer.mint(session, kind, now=now) for session in sessions]


def _session(user_id: int, now: float) -> Session:
    sub = str(user_id)
    pair = (secrets.token_urlsafe(16), secrets.token_urlsafe(16))
    return Session(
        sid=new_sid(sub, secrets.token_bytes(16)),
        sub=sub,
        user_id=user_id,
        groups=(),
        email="",
        name="",
        source=f"client:{CLIENT}",
        created_at=now,
        expires_at=now + _LIFETIME,
        gen=0,
        current=generation(*pair, now=now, expires_at=now + _LIFETIME, access=_ACCESS),
        previous_refresh_jti=None,
        rotated_at=None,
        confirmed=True,
        client=Device("bench/1.0", "127.0.0.1"),
    )
