"""Links to accounts, changed by replicas that share the users file."""

import asyncio
import shutil
from pathlib import Path

import pytest

from authgw.core.errors import ProviderRefusedError, UsersFileUnwritableError
from authgw.core.reasons import CAUSES
from authgw.identity import users_editor
from authgw.identity.users_file import load_users
from authgw.identity.users_watcher import WatchedUsersFile
from authgw.services.providers.files import FileLinks
from tests.support.provider_tokens import ISSUER
from tests.support.users import HASH

USERS = ("alice", "bob", "carol", "dave")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    created = tmp_path / "users.yml"
    for name in USERS:
        users_editor.add(created, name, HASH)
    return created


async def test_a_link_that_another_replica_wrote_a_moment_ago_is_taken(path: Path) -> None:
    """The memory of this replica does not have it yet: the file decides."""
    here, there = (FileLinks(WatchedUsersFile(path)) for _ in range(2))
    await there.add("alice", ISSUER, "7")
    with pytest.raises(ProviderRefusedError) as caught:
        await here.add("bob", ISSUER, "7")
    assert (caught.value.cause, caught.value.sub) == ("account_taken", "bob")
    assert caught.value.cause in CAUSES
    await here.add("alice", ISSUER, "7")
    assert here.issuers_of("alice") == {ISSUER}


async def test_of_simultaneous_users_one_gets_the_account(path: Path) -> None:
    replicas = {name: FileLinks(WatchedUsersFile(path)) for name in USERS}
    results = await asyncio.gather(
        *(links.add(name, ISSUER, "7") for name, links in replicas.items()),
        return_exceptions=True,
    )
    refusals = [each.cause for each in results if isinstance(each, ProviderRefusedError)]
    assert (refusals, results.count(None)) == (["account_taken"] * (len(USERS) - 1), 1)
    winner = USERS[results.index(None)]
    linked = {name: [link.sub for link in entry.links] for name, entry in load_users(path).items()}
    assert linked == {name: ["7"] if name == winner else [] for name in USERS}


async def test_a_file_that_cannot_be_written_is_another_refusal(path: Path) -> None:
    links = FileLinks(WatchedUsersFile(path))
    shutil.rmtree(path.parent)
    with pytest.raises(UsersFileUnwritableError):
        await links.add("alice", ISSUER, "7")
