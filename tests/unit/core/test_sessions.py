"""Sessions: tables of transitions, and a stateful model of a device."""

import hashlib
import re
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from authgw.core import sessions
from authgw.core.errors import SessionEndedError
from authgw.core.session_codec import dump, load
from authgw.core.sessions import (
    RefreshOutcome,
    RefreshResult,
    Session,
    Snapshot,
    check_sid,
    new_sid,
    of_subject,
)
from tests.support.builders import LIVES, NOW, a_session


def present(session: Session | None, gen: int, jti: str, now: float) -> RefreshResult:
    fresh = (f"a{gen + 1}", f"r{gen + 1}")
    return sessions.refresh(session, gen=gen, jti=jti, fresh=fresh, now=now, lifetimes=LIVES)


def rotated(now: float = NOW + 100) -> Session:
    return present(a_session(), 0, "r0", now).session


def test_the_current_token_rotates() -> None:
    outcome = present(a_session(), 0, "r0", NOW + 100)
    new = outcome.session
    assert outcome.outcome is RefreshOutcome.ROTATED
    assert (new.gen, new.current.refresh_jti, new.previous_refresh_jti) == (1, "r1", "r0")
    assert new.expires_at == new.current.refresh_exp == NOW + 100 + LIVES.refresh
    assert new.current.access_exp == NOW + 100 + LIVES.access
    assert not new.confirmed


@pytest.mark.parametrize(("after", "confirmed"), [(10, True), (10, False), (800, False)])
def test_the_parent_token_gets_the_same_successor(after: float, confirmed: bool) -> None:
    stored = replace(rotated(), confirmed=confirmed)
    outcome = present(stored, 0, "r0", NOW + 100 + after)
    assert (outcome.outcome, outcome.session) == (RefreshOutcome.REPEATED, stored)


def test_a_lost_response_is_repeated_hours_later_with_renewed_times() -> None:
    late = NOW + 100 + 7000
    outcome = present(rotated(), 0, "r0", late)
    current = outcome.session.current
    assert outcome.outcome is RefreshOutcome.REPEATED
    assert (outcome.session.gen, current.access_jti, current.refresh_jti) == (1, "a1", "r1")
    assert (current.iat, current.access_exp) == (late, late + LIVES.access)


@pytest.mark.parametrize(
    ("gen", "jti", "after"), [(0, "r0", 10.1), (0, "zz", 0), (1, "zz", 0), (-1, "r0", 0)]
)
def test_anything_else_is_reuse(gen: int, jti: str, after: float) -> None:
    stored = replace(rotated(), confirmed=True)
    assert present(stored, gen, jti, NOW + 100 + after).outcome is RefreshOutcome.REUSED


@pytest.mark.parametrize(
    ("gen", "after", "age"),
    [
        (0, 20, "again 20 s after"),
        (0, 7200, "again 2 h after"),
        (-1, 20, "again at least 20 s"),
        # The clock was set back.
        (0, -0.2, "again 0 s after"),
        (0, -7200, "again 0 s after"),
    ],
)
def test_the_description_of_a_reuse(gen: int, after: float, age: str) -> None:
    text = sessions.describe_reuse(rotated(), gen=gen, now=NOW + 100 + after)
    assert age in text
    assert text.endswith("opened from an unknown address")
    seen = replace(a_session(), client=sessions.Device(address="192.0.2.1"))
    assert "192.0.2.1" in sessions.describe_reuse(seen, gen=-1, now=NOW)


def test_a_higher_generation_than_the_stored_rotates() -> None:
    outcome = present(rotated(), 5, "lost", NOW + 200)
    assert (outcome.outcome, outcome.session.gen) == (RefreshOutcome.ROTATED, 6)


def test_tokens_do_not_outlive_the_session() -> None:
    near_end = NOW + 19500
    old = replace(a_session(), expires_at=NOW + 20000)
    new = present(old, 0, "r0", near_end).session
    assert new.expires_at == new.current.access_exp == NOW + LIVES.session_max


def test_an_absent_or_expired_session_cannot_be_refreshed() -> None:
    with pytest.raises(SessionEndedError):
        present(None, 0, "r0", NOW)
    with pytest.raises(SessionEndedError):
        present(a_session(), 0, "r0", NOW + LIVES.refresh)


@pytest.mark.parametrize("jti", ["a0", "r0"])
def test_either_token_of_the_current_generation_confirms(jti: str) -> None:
    confirmed = sessions.confirm(a_session(), gen=0, jti=jti)
    assert confirmed.confirmed
    assert sessions.confirm(confirmed, gen=0, jti=jti) is confirmed
    assert not sessions.confirm(a_session(), gen=1, jti=jti).confirmed
    assert not sessions.confirm(a_session(), gen=0, jti="zz").confirmed


def test_records_round_trip_and_ignore_newer_fields() -> None:
    session = replace(rotated(), user_id=2**53 + 1, name="Zoë")
    text = dump(session)
    assert load(text) == session
    assert load(text[:-1] + ',"of_version_2":1}') == session


def test_frequent_values_are_interned() -> None:
    first, second = (load(dump(a_session(number=number))) for number in (1, 2))
    assert first.source is second.source
    assert first.groups[0] is second.groups[0]
    assert first.client.user_agent is second.client.user_agent


@pytest.mark.parametrize("text", ["", "1", "{}", "null", '{"current":1}', "[]"])
def test_invalid_records_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        load(text)


@pytest.mark.parametrize("field", ["created_at", "expires_at"])
def test_times_are_numbers(field: str) -> None:
    text = dump(a_session())
    with pytest.raises(ValueError, match=r".+"):
        load(re.sub(rf'"{field}":[0-9.]+', f'"{field}":null', text))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sub", "1"),
        ("gen", "true"),
        ("user_id", "1.5"),
        ("confirmed", "1"),
        ("expires_at", "1e999"),
        ("access_exp", "1e999"),
        ("previous_refresh_jti", "7"),
        ("rotated_at", "1e999"),
    ],
)
def test_fields_have_their_types(field: str, value: str) -> None:
    text = re.sub(rf'"{field}":[^,}}]+', f'"{field}":{value}', dump(rotated()))
    with pytest.raises(ValueError, match="not a session record"):
        load(text)


@pytest.mark.parametrize("more", ["x", "{}"])
def test_trailing_data_is_refused(more: str) -> None:
    with pytest.raises(ValueError, match="more than a session record"):
        load(dump(a_session()) + more)


def test_a_sid_contains_the_hash_of_its_subject() -> None:
    sid = sessions.new_sid("alice", bytes(16))
    assert len(sid) == 44
    assert sessions.hash_of_sid(sid) == sessions.subject_hash("alice")
    with pytest.raises(ValueError, match="16"):
        sessions.new_sid("alice", b"")


@pytest.mark.parametrize("sid", ["", "a" * 43, "a" * 45, "a" * 43 + "*", "a" * 44 + "\n"])
def test_a_malformed_sid_is_refused(sid: str) -> None:
    with pytest.raises(SessionEndedError):
        sessions.hash_of_sid(sid)


class RotationMachine(RuleBasedStateMachine):
    """A session with an honest client that may lose responses, and a thief who replays tokens.

    The model uses only issued and received tokens, never the fields of the record.
    """

    replayable = Bundle("replayable")

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.stored: Session | None = a_session()
        self.held = (0, "r0")
        self.used_last: tuple[int, str] | None = None
        self.used_at = 0.0
        self.received = True
        self.issued: dict[int, str] = {0: "r0"}

    def refresh(self, token: tuple[int, str]) -> RefreshResult | None:
        try:
            result = present(self.stored, *token, self.now)
        except SessionEndedError:
            return None
        self.stored = None if result.outcome is RefreshOutcome.REUSED else result.session
        if result.outcome is RefreshOutcome.ROTATED:
            self.used_at = self.now
        return result

    @rule(seconds=st.sampled_from([1, 9, 11, 600, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(lost=st.booleans())
    def honest_refresh(self, lost: bool) -> None:
        is_valid = self.stored is not None and self.now < self.stored.expires_at
        result = self.refresh(self.held)
        assert (result is not None) == is_valid
        if result is None:
            return
        # The guarantee of the grace period: an honest client is never mistaken for a thief.
        assert result.outcome is not RefreshOutcome.REUSED
        successor = (result.session.gen, result.session.current.refresh_jti)
        self.issued[successor[0]] = successor[1]
        if not lost:
            self.held = successor

    @rule()
    def honest_use(self) -> None:
        if self.stored is not None and self.stored.gen == self.held[0]:
            gen, refresh_jti = self.held
            self.stored = sessions.confirm(self.stored, gen=gen, jti=refresh_jti)

    @rule(back=st.integers(1, 5))
    def thief_replays(self, back: int) -> None:
        gen = self.held[0] - back
        if gen not in self.issued or self.stored is None:
            return
        before = self.stored
        result = self.refresh((gen, self.issued[gen]))
        if result is None:
            return
        # A replay never creates a second lineage: same successor, or revocation.
        assert result.outcome is not RefreshOutcome.ROTATED
        if before.confirmed and self.now - self.used_at > LIVES.refresh_grace:
            assert result.outcome is RefreshOutcome.REUSED

    @rule()
    def log_out(self) -> None:
        self.stored = None

    @invariant()
    def one_lineage_within_its_bounds(self) -> None:
        if self.stored is None:
            return
        current = self.stored.current
        assert self.issued[self.stored.gen] == current.refresh_jti
        assert current.access_exp <= current.refresh_exp == self.stored.expires_at
        assert self.stored.expires_at <= NOW + LIVES.session_max


TestDevice = RotationMachine.TestCase
TestDevice.settings = settings(max_examples=200, stateful_step_count=30)


def test_a_session_of_another_subject_is_absent() -> None:
    session = a_session()
    assert of_subject(session, session.sub) is session
    assert of_subject(session, "another") is None
    assert of_subject(None, session.sub) is None


def test_a_sid_belongs_to_its_subject() -> None:
    check_sid(new_sid("1", bytes(16)), "1")
    for sid in (new_sid("2", bytes(16)), "x" * 44, "", "1"):
        with pytest.raises(SessionEndedError):
            check_sid(sid, "1")


@pytest.mark.parametrize("field", ["sub", "source", "issuer", "account"])
def test_a_session_of_another_account_is_not_continued(field: str) -> None:
    session = replace(a_session(), source="oidc:company", issuer="https://idp.test", account="7")
    assert sessions.has_account_of(replace(session, sid="s2"), session)
    other = replace(session, **{field: "other"})  # type: ignore[arg-type]  # all are texts
    assert not sessions.has_account_of(other, session)


def test_a_continued_session_ends_no_later_than_the_old_one() -> None:
    old = replace(a_session(), tried_at=NOW + 50)
    later = NOW + 7000
    new = replace(
        a_session(now=later), auth_time=later, factor_time=later, checked_at=later, tried_at=later
    )
    found = sessions.continued(new, old, now=later, lifetimes=LIVES)
    assert (found.created_at, found.expires_at) == (NOW, old.expires_at)
    assert found.current.iat == later
    assert found.current.access_exp == found.current.refresh_exp == old.expires_at
    assert (found.auth_time, found.factor_time, found.tried_at) == (later, later, later)
    attempted = replace(old, tried_at=later + 5)
    found = sessions.continued(new, attempted, now=later, lifetimes=LIVES)
    assert found.tried_at == later + 5, "a check just now is not repeated"
    short = replace(new, expires_at=later + 60)
    found = sessions.continued(short, old, now=later, lifetimes=LIVES)
    assert found.expires_at == found.current.access_exp == later + 60


def test_the_digest_of_a_snapshot_is_that_of_its_version() -> None:
    snapshot = Snapshot(None, NOW, "vé")
    later = snapshot.at(NOW + 1)
    assert later == Snapshot(None, NOW + 1, "vé")
    assert snapshot.digest == later.digest == hashlib.sha256("vé".encode()).digest()
    assert snapshot.at(NOW + 1).digest is snapshot.digest
    assert replace(snapshot, version="other").digest != snapshot.digest
