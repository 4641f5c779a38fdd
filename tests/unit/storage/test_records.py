"""Sessions in records: decoded once while they are in use or recent, and checked each time."""

import gc
from collections import deque

import pytest

from authgw.core.errors import StoreUnavailableError
from authgw.core.session_codec import dump, load
from authgw.core.sessions import Session
from authgw.storage import records
from authgw.storage.records import session_in
from tests.support.builders import numbered


@pytest.mark.parametrize("compact", [True, False])
def test_a_record_is_decoded_once_while_its_session_is_in_use(compact: bool) -> None:
    sid, record = numbered(1).sid, dump(numbered(1), compact=compact)
    session = session_in(record, sid)
    assert session == numbered(1)
    assert session_in("".join(list(record)), sid) is session


def test_the_sessions_that_were_decoded_last_stay_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_KEPT", deque(maxlen=3))
    decoded: list[str | bytes] = []

    def counted(text: str | bytes) -> Session:
        decoded.append(text)
        return load(text)

    monkeypatch.setattr(records, "load", counted)
    texts = {number: dump(numbered(number)) for number in range(100, 104)}
    for number in (100, 101, 102, 100, 103, 100):
        session_in(texts[number], numbered(number).sid)
        gc.collect()
    assert decoded == [texts[number] for number in (100, 101, 102, 103, 100)]


def test_a_record_in_use_is_refused_for_another_session() -> None:
    record = dump(numbered(1))
    session = session_in(record, numbered(1).sid)
    with pytest.raises(StoreUnavailableError, match="another session"):
        session_in(record, numbered(2).sid)
    assert session_in(record, numbered(1).sid) is session
