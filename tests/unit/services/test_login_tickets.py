"""Tickets between the steps of a login."""

from pathlib import Path

import pytest

from authgw.core.users import PASSWORD, TOTP
from authgw.identity import users_editor
from authgw.identity.users_watcher import WatchedUsersFile
from authgw.services.login_tickets import LoginTickets
from authgw.services.results import VerifiedLogin
from tests.support.builders import an_issuer
from tests.support.gateway import HASH


@pytest.fixture
def users(tmp_path: Path) -> WatchedUsersFile:
    users_editor.add(tmp_path / "users.yml", "bob", HASH)
    return WatchedUsersFile(tmp_path / "users.yml")


@pytest.fixture
def tickets(users: WatchedUsersFile) -> LoginTickets:
    return LoginTickets(users, an_issuer(), device_lifetime=3600, clock=lambda: 1000.0)


@pytest.mark.parametrize("amr", [(PASSWORD,), ("hwk",), ("hwk", "user")])
def test_a_pending_login_keeps_its_methods(
    users: WatchedUsersFile, tickets: LoginTickets, amr: tuple[str, ...]
) -> None:
    user = users.find("bob")
    assert user is not None
    # The time of the first proof is that of the ticket.
    verified = VerifiedLogin(user, min(user.password_marks), amr, auth_time=1000.0)
    assert tickets.resume(["junk", tickets.pending(verified)]) == verified


def test_a_device_is_known_by_its_second_factor(
    users: WatchedUsersFile, tickets: LoginTickets
) -> None:
    user = users.find("bob")
    assert user is not None
    mark = min(user.password_marks)
    by_password = tickets.remember(VerifiedLogin(user, mark, (PASSWORD,)))
    by_code = tickets.remember(VerifiedLogin(user, mark, (PASSWORD, TOTP)))
    assert tickets.device([by_password], "bob")
    assert not tickets.device([by_password], "bob", factor=TOTP)
    assert tickets.device([by_code], "bob", factor=TOTP)
    assert not tickets.device([by_code], "alice", factor=TOTP)
