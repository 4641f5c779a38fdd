"""Sessions in great number: records put into Redis as log-ins leave them, and their tokens."""

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
_LIFE = 720 * 3600.0  # as auth.refresh_lifetime
_IDLE_MS = 24 * 3600 * 1000  # as auth.auto_logout
_BATCH = 2000  # commands that travel together


def new_sessions(count: int, first: int = 1) -> Iterator[Session]:
    """Sessions of as many subjects, as after their log-ins."""
    now = time.time()
    return (_session(first + number, now) for number in range(count))


def put(redis: "Redis", sessions: Iterable[Session]) -> None:
    """Write the records and indexes that the store would have written (storage/redis.py)."""
    waiting = iter(sessions)
    while some := list(islice(waiting, _BATCH)):
        pipe = redis.pipeline(transaction=False)
        for one in some:
            prefix = f"authgw:{{{subject_hash(one.sub)}}}:"
            pipe.set(f"{prefix}s:{one.sid}", dump(one), px=_IDLE_MS)
            pipe.zadd(f"{prefix}i", {one.sid: int(one.created_at * 1_000_000)}, nx=True)
        pipe.execute()


def tokens(keys: Path, sessions: Sequence[Session], kind: TokenType) -> list[str]:
    """A token of each session, signed with the gateways' own key."""
    issuer = Issuer("authgw", "authgw", KeyRing(load_keys(keys), _LIFE))
    now = time.time()
    return [issuer.mint(one, kind, now=now) for one in sessions]


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
        expires_at=now + _LIFE,
        gen=0,
        current=generation(*pair, now=now, expires_at=now + _LIFE, access=_ACCESS),
        previous_refresh_jti=None,
        rotated_at=None,
        confirmed=True,
        client=Device("bench/1.0", "127.0.0.1"),
    )
