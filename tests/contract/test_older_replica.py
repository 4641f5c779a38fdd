"""A replica of the version before identity providers, on the same Redis.

It drops the fields of a session that it does not know as soon as it replaces the record. What is
left must never permit more than the complete record.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path

import pytest

from authgw.core.errors import AuthgwError, SessionEndedError
from authgw.core.model import Principal
from authgw.core.providers.bounds import ProviderBounds
from authgw.core.providers.model import Accept, Provider
from authgw.core.session_codec import dump, load
from authgw.core.sessions import Session
from authgw.core.users import USERS, User, principal_of
from authgw.storage.redis.store import RedisStore
from tests.support.builders import NOW, numbered
from tests.support.directories import Directory
from tests.support.previous_version import BEFORE_PROVIDERS, unpack_previous_version

# Confirms the sessions of its arguments, as a replica does at their first check; the forms of the
# records in its input are read and written again. Prints the fields that it knows.
OLDER = """
import asyncio, json, sys
from dataclasses import fields, replace
from authgw.core.session_codec import dump, load
from authgw.core.sessions import Session
from authgw.storage.redis.connect import connect
from authgw.storage.redis.store import RedisStore

async def main(url, *sids):
    store = RedisStore(connect(url), idle=60, session_max=600)
    for sid in sids:
        seen = await store.read(sid)
        assert await store.replace(seen, replace(seen.session, confirmed=True)) is None
    await store.close()

if sys.argv[1:]:
    asyncio.run(main(*sys.argv[1:]))
read = [load(text) for text in json.load(sys.stdin)]
written = [dump(session, compact=compact) for session in read for compact in (False, True)]
print(json.dumps([[field.name for field in fields(Session)], written]))
"""

COMPANY = Provider(
    "company",
    "oidc",
    "https://idp.test",
    "authgw",
    Accept(everyone=True),
    refresh=900.0,
    stale=5000.0,
    session=3600.0,
)
BOUNDS = ProviderBounds({"company": COMPANY})
ALICE = User("alice", (), {}, False, frozenset({"m1"}), True, link_marks=frozenset({"l1"}))
USERS_FILE = Directory(ALICE)
# A minute ago it was opened by a step-up: its proofs are newer than its creation.
AT_PROVIDER = replace(
    numbered(1, "company:7"),
    created_at=NOW - 60,
    source="oidc:company",
    amr=("pwd",),
    auth_time=NOW,
    factor_time=NOW,
    issuer="https://idp.test",
    account="7",
    idp_sid="s1",
    checked_at=NOW,
    tried_at=NOW,
    groups_from="userinfo",
    sealed="v1|a1|x|y",
)
LINKED = replace(AT_PROVIDER, sid=numbered(2, "alice").sid, sub="alice", source=USERS)
LINKED = replace(LINKED, password_mark="l1")
BY_PASSWORD = replace(
    numbered(3, "alice"),
    created_at=NOW - 60,
    source=USERS,
    password_mark="m1",
    amr=("pwd", "otp"),
    auth_time=NOW,
    factor_time=NOW,
)


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_previous_version(tmp_path_factory.mktemp("older"), BEFORE_PROVIDERS)


def run(code: Path, *arguments: str, records: Sequence[str] = ()) -> tuple[set[str], list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", OLDER, *arguments],
        input=json.dumps(records),
        env={**os.environ, "PYTHONPATH": str(code)},
        cwd=code,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    known, written = json.loads(done.stdout)
    return set(known), written


def admit(session: Session, now: float = NOW) -> Principal:
    BOUNDS.until(session, now)
    return principal_of(session, USERS_FILE, provider=BOUNDS.source_of(session))


def ended(session: Session) -> bool:
    try:
        admit(session)
    except SessionEndedError:
        return True
    return False


def test_the_sessions_of_these_tests_are_valid_before() -> None:
    for session in (AT_PROVIDER, LINKED, BY_PASSWORD):
        principal = admit(session)
        assert (principal.auth_time, principal.totp) == (NOW, True)


@pytest.mark.parametrize("compact", [False, True])
def test_an_older_replica_ends_sessions_of_providers_and_elevates_no_other(
    older: Path, compact: bool
) -> None:
    sessions = (AT_PROVIDER, LINKED, BY_PASSWORD)
    known, texts = run(older, records=[dump(each, compact=compact) for each in sessions])
    added = {field.name for field in fields(Session)} - known
    assert added == _STRICTER.keys(), "decide what its absence means"
    for number, text in enumerate(texts):
        session = load(text)
        assert all(not getattr(session, name) for name in added)
        if number < 4:
            assert ended(session)
        else:
            # The second factor is in `amr`, which the older version knows; its time is lost.
            principal = admit(session)
            assert (principal.auth_time, session.factor_time) == (NOW - 60, 0.0)


async def test_an_older_replica_on_the_same_redis_strips_what_it_confirms(
    real: RedisStore, redis_url: str, older: Path
) -> None:
    now = (await real.read(AT_PROVIDER.sid)).now
    for session in (AT_PROVIDER, LINKED, BY_PASSWORD):
        await real.add(_moved(session, now - NOW), 10)
        stored = (await real.read(session.sid)).session
        assert stored is not None
        assert stored == _moved(session, now - NOW)
        assert admit(stored, now)
    run(older, redis_url, AT_PROVIDER.sid, LINKED.sid, BY_PASSWORD.sid)
    for sid in (AT_PROVIDER.sid, LINKED.sid):
        stored = (await real.read(sid)).session
        assert stored is not None
        assert stored.confirmed
        assert ended(stored)
    stored = (await real.read(BY_PASSWORD.sid)).session
    assert stored is not None
    assert admit(stored, now).auth_time == stored.created_at


def _moved(session: Session, seconds: float) -> Session:
    """Return the session with its times on the clock of the store."""
    current = replace(
        session.current,
        iat=session.current.iat + seconds,
        access_exp=session.current.access_exp + seconds,
        refresh_exp=session.current.refresh_exp + seconds,
    )
    names = ["created_at", "expires_at", "auth_time", "factor_time"]
    if session.issuer:
        names += ["checked_at", "tried_at"]
    moved = {name: getattr(session, name) + seconds for name in names}
    return replace(session, current=current, **moved)


def _until(session: Session) -> float:
    return BOUNDS.until(session, NOW + 800.0)


# What a session of a provider is without each new field alone.
_STRICTER: dict[str, Callable[[Session], bool]] = {
    "issuer": ended,
    "account": ended,
    "checked_at": ended,
    "auth_time": lambda session: admit(session).auth_time == session.created_at,
    "factor_time": lambda session: not admit(session).totp,
    "sealed": lambda session: _until(session) == session.created_at + COMPANY.session,
    "tried_at": lambda session: BOUNDS.is_due(session, NOW) and not BOUNDS.is_due(AT_PROVIDER, NOW),
    # These two are of use to a session with issuer and account only.
    "idp_sid": lambda session: not session.idp_sid,
    "groups_from": lambda session: not session.groups_from,
}


@pytest.mark.parametrize("name", _STRICTER)
def test_an_absent_field_has_the_strictest_meaning(name: str) -> None:
    record = json.loads(dump(AT_PROVIDER))
    del record[name]
    assert _STRICTER[name](load(json.dumps(record)))


def test_a_provider_that_is_not_configured_here_ends_its_sessions() -> None:
    with pytest.raises(AuthgwError):
        ProviderBounds({}).until(AT_PROVIDER, NOW)
