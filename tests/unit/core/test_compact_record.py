"""Compact records restore every session exactly, and are much smaller than records with names."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core.session_codec import dump, load
from authgw.core.sessions import Device, Generation, Session, new_sid
from tests.support.builders import LIVES, NOW, a_session

JTI = "0123456789abcdefghijkl"
# As after a login by a backend, with tokens of the usual length.
USUAL = replace(
    a_session("1000001", 1000001, NOW + 0.5237656),
    groups=(),
    confirmed=True,
    client=Device("bench/1.0", "127.0.0.1"),
    current=Generation(JTI, JTI, NOW + 0.5237656, NOW + 900.5237656, NOW + 7200.5237656),
)
TIMES = st.floats(0, 4e9)
TEXTS = st.text(max_size=8)


@st.composite
def any_session(draw: st.DrawFn) -> Session:
    sub = draw(st.one_of(st.integers().map(str), TEXTS))
    times = Generation(draw(TEXTS), draw(TEXTS), draw(TIMES), draw(TIMES), draw(TIMES))
    return Session(
        sid=new_sid(sub, draw(st.binary(min_size=16, max_size=16))),
        sub=sub,
        user_id=draw(st.one_of(st.none(), st.integers(0, 2**63))),
        groups=tuple(draw(st.lists(TEXTS, max_size=3))),
        email=draw(TEXTS),
        name=draw(TEXTS),
        source=draw(TEXTS),
        created_at=draw(TIMES),
        expires_at=draw(TIMES),
        gen=draw(st.integers(0, 2**53)),
        current=times,
        previous_refresh_jti=draw(st.one_of(st.none(), TEXTS)),
        rotated_at=draw(st.one_of(st.none(), TIMES)),
        confirmed=draw(st.booleans()),
        client=Device(draw(TEXTS), draw(TEXTS)),
        amr=tuple(draw(st.lists(TEXTS, max_size=2))),
        password_mark=draw(TEXTS),
        auth_time=draw(TIMES),
        factor_time=draw(TIMES),
        issuer=draw(TEXTS),
        account=draw(TEXTS),
        idp_sid=draw(TEXTS),
        checked_at=draw(TIMES),
        tried_at=draw(TIMES),
        groups_from=draw(TEXTS),
        sealed=draw(TEXTS),
    )


@given(any_session())
def test_both_forms_restore_any_session(session: Session) -> None:
    assert load(dump(session, compact=True)) == load(dump(session)) == session


def test_a_compact_record_is_an_array_without_usual_values() -> None:
    items = json.loads(dump(USUAL, compact=True))
    assert items == [
        f"{USUAL.sid[22:]} {JTI} {JTI}",
        "1000001",
        "client:shop",
        NOW + 0.5237656,
        7200,
        900,
        True,
        "127.0.0.1",
        "bench/1.0",
    ]
    assert len(dump(USUAL, compact=True)) < 0.3 * len(dump(USUAL))


def test_a_rotated_session_is_an_array_to_the_last_unusual_value() -> None:
    rotated_at = NOW + 100.25
    expires_at = rotated_at + LIVES.refresh
    session = replace(
        USUAL,
        user_id=None,
        expires_at=expires_at,
        gen=1,
        current=Generation(JTI, JTI, rotated_at, rotated_at + 900, expires_at),
        previous_refresh_jti="r0",
        rotated_at=rotated_at,
        confirmed=False,
    )
    items = json.loads(dump(session, compact=True))
    assert items[6] is None
    assert items[10:] == [1, None, "r0", rotated_at - session.created_at, False]
    assert load(dump(session, compact=True)) == session


@pytest.mark.parametrize(
    "change",
    [
        {"expires_at": 0.1},  # the seconds since the creation are rounded
        {"current": replace(USUAL.current, refresh_jti="a b")},
    ],
)
def test_what_an_array_could_not_restore_has_names(change: dict[str, Any]) -> None:
    session = replace(USUAL, **change)
    record = dump(session, compact=True)
    assert record == dump(session)
    assert load(record) == session


def test_newer_items_are_ignored() -> None:
    session = replace(a_session(), sealed="s1")
    record = dump(session, compact=True)
    assert load(f'{record[:-1]},"of_version_2",[]]') == session


@pytest.mark.parametrize("position", range(29))
@pytest.mark.parametrize("value", [[{}], 1e999])
def test_items_have_their_types(position: int, value: object) -> None:
    session = replace(a_session(), sealed="s1", amr=("pwd",), email="a@b.c", name="A")
    items = json.loads(dump(session, compact=True))
    items[position] = value
    with pytest.raises(ValueError, match="not a session record"):
        load(json.dumps(items))


@pytest.mark.parametrize("items", [[], ["a b"], ["a b c", "1"], ["a b c d", *range(8)]])
def test_other_arrays_are_refused(items: list[Any]) -> None:
    with pytest.raises(ValueError, match="not a session record"):
        load(json.dumps(items))


def test_a_number_that_is_the_subject_is_not_repeated() -> None:
    other = replace(USUAL, user_id=7)
    assert json.loads(dump(other, compact=True))[6] == 7
    assert load(dump(other, compact=True)).user_id == 7


def test_usual_times_take_no_memory_in_each_session() -> None:
    record = dump(USUAL, compact=True)
    first, second = load(record), load(record)
    assert first.auth_time == 0.0
    for name in ("auth_time", "factor_time", "checked_at", "tried_at"):
        assert getattr(first, name) is getattr(second, name)
