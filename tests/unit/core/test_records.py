"""Names of records in a store."""

import hashlib
from base64 import urlsafe_b64decode

from authgw.core.records import record_hash


def test_a_name_is_replaced_by_its_whole_sha_256() -> None:
    found = record_hash("who:Zo\u00eb")
    assert len(found) == 43
    assert urlsafe_b64decode(found + "=") == hashlib.sha256("who:Zo\u00eb".encode()).digest()
