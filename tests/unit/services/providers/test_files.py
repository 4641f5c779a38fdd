"""Links of users to accounts, in a users file that several replicas share."""

from pathlib import Path

import pytest

from authgw.core.errors import ProviderRefusedError, UsersFileUnwritableError
from authgw.identity import users_editor
from authgw.identity.users_file import UsersFileError
from authgw.identity.users_watcher import WatchedUsersFile
from authgw.services.providers.files import FileLinks
from tests.support.fake_provider import ISSUER
from tests.support.gateway import HASH


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "users.yml"
    path.write_text(f"alice: {{password: '{HASH}'}}\nbob: {{password: '{HASH}'}}\n")
    path.chmod(0o600)
    return path


async def test_an_account_that_another_replica_has_just_linked_is_refused(path: Path) -> None:
    first, second = (FileLinks(WatchedUsersFile(path)) for _ in range(2))
    await first.add("alice", ISSUER, "u1")
    with pytest.raises(ProviderRefusedError) as caught:
        await second.add("bob", ISSUER, "u1")
    assert caught.value.cause == "account_taken"
    assert second.issuers_of("bob") == frozenset()
    await second.add("alice", ISSUER, "u1")


async def test_a_file_that_cannot_be_used_is_no_other_link(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise UsersFileError("read-only")

    links = FileLinks(WatchedUsersFile(path))
    monkeypatch.setattr(users_editor, "add_link", broken)
    with pytest.raises(UsersFileUnwritableError):
        await links.add("bob", ISSUER, "u1")
