"""Sessions in records: decoded once while they are in use, and checked each time."""

import gc

import pytest

from authgw.core.errors import StoreUnavailableError
from authgw.core.session_codec import dump
from authgw.storage import records
from authgw.storage.records import session_in
from tests.support.builders import numbered


@pytest.mark.parametrize("compact", [True, False])
def test_a_record_is_decoded_once_while_its_session_is_in_use(compact: bool) -> None:
    sid, record = numbered(1).sid, dump(numbered(1), compact=compact)
    session = session_in(record, sid)
    assert session == numbered(1)
    assert session_in("".join(list(record)), sid) is session
    before = len(records._SESSIONS)
    del session
    gc.collect()
    assert len(records._SESSIONS) == before - 1


def test_a_record_in_use_is_refused_for_another_session() -> None:
    record = dump(numbered(1))
    session = session_in(record, numbered(1).sid)
    with pytest.raises(StoreUnavailableError, match="another session"):
        session_in(record, numbered(2).sid)
    assert session_in(record, numbered(1).sid) is session
