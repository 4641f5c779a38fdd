"""A reload reads everything again, or leaves everything as it was."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from authgw.config.loader import ConfigError, LoadedConfig, load
from authgw.core.keys import KeyRing, SigningKeyError
from authgw.files import key_files
from authgw.identity import users_editor
from authgw.identity.clients_file import BackendsFileError, add_client
from authgw.identity.users_file import UsersFileError
from authgw.server.reload import REFUSALS, ReloadableState, ReloadError, read, read_again
from tests.support.users import HASH

RULES = "rules: [{allow: authenticated}]\n"


@pytest.fixture
def again(tmp_path: Path) -> Callable[[], LoadedConfig]:
    (tmp_path / "config.yml").write_text(RULES)
    users_editor.add(tmp_path / "users.yml", "alice", HASH)
    add_client(tmp_path / "clients.yml", "shop", subjects="*", groups=())
    return lambda: load(tmp_path / "config.yml", {})


@pytest.fixture
def first(again: Callable[[], LoadedConfig]) -> ReloadableState:
    return read(again())


def test_what_is_new_is_in_the_new_one_only(
    tmp_path: Path, first: ReloadableState, again: Callable[[], LoadedConfig]
) -> None:
    (tmp_path / "config.yml").write_text(f"{RULES[:-2]}, {{allow: anyone}}]\n")
    users_editor.add(tmp_path / "users.yml", "bob", HASH)
    add_client(tmp_path / "clients.yml", "blog", subjects="*", groups=())
    kid = key_files.make_key(tmp_path / "secrets/keys", "ES256", signs_from=2e9)
    second = read_again(first, again)
    for reading, there in ((first, False), (second, True)):
        assert (len(reading.loaded.settings.rules or ()) == 2) is there
        assert (reading.users.find("bob") is not None) is there
        assert ("blog" in reading.clients.ids) is there
        assert (kid in reading.keys.kids(0)) is there
    assert second.left == ()


def test_what_only_a_restart_takes_is_named_and_left(
    tmp_path: Path, first: ReloadableState, again: Callable[[], LoadedConfig]
) -> None:
    more = "server: {port: 9}\ncache: {max_staleness: 2s}\nauth: {passwords: {min_length: 9}}\n"
    (tmp_path / "config.yml").write_text(RULES + more)
    second = read_again(first, again)
    assert second.left == ("server.port", "cache.max_staleness", "auth.passwords")
    assert second.loaded.settings == first.loaded.settings


BROKEN = [
    ("config.yml", "rules: [{alow: anyone}]", ConfigError, r"config.yml:1: rules\[0\]\.alow"),
    ("config.yml", "rules: [", ConfigError, "config.yml:1: is not valid YAML"),
    ("config.yml", "", ReloadError, "rules: the section is gone"),
    ("config.yml", None, ConfigError, "does not exist"),
    ("users.yml", "alice: {}", UsersFileError, r"users.yml:1: alice\.password: is missing"),
    ("users.yml", "", UsersFileError, "is empty"),
    ("users.yml", None, UsersFileError, "does not exist"),
    ("clients.yml", "a:\n  b: 1", BackendsFileError, r"clients.yml:2: a: unknown key"),
    ("clients.yml", None, BackendsFileError, "does not exist"),
    ("secrets/keys/a1.pem", "", SigningKeyError, "a1.pem is empty"),
]


@pytest.mark.parametrize(("file", "text", "refusal", "said"), BROKEN)
def test_one_broken_file_refuses_all(
    tmp_path: Path,
    first: ReloadableState,
    again: Callable[[], LoadedConfig],
    file: str,
    text: str | None,
    refusal: type[Exception],
    said: str,
) -> None:
    path = tmp_path / file
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
        path.chmod(0o600)
    with pytest.raises(refusal, match=said) as refused:
        read_again(first, again)
    assert isinstance(refused.value, REFUSALS)


def test_a_removed_key_verifies_nothing_and_is_still_known(
    tmp_path: Path, first: ReloadableState, again: Callable[[], LoadedConfig]
) -> None:
    (old,) = first.keys.kids(0)
    # A key that nobody made with `authgw key`.
    (tmp_path / f"secrets/keys/{old}.pem").rename(tmp_path / "secrets/keys/own.pem")
    assert read_again(first, again).keys.kids(0) == ("own",)
    new = key_files.make_key(tmp_path / "secrets/keys", "ES256")
    (tmp_path / "secrets/keys/own.pem").unlink()
    second = read_again(first, again)
    assert second.keys.kids(0) == (new,)
    assert second.keys.known_kids == {old, "own", new}
    assert second.keys.verifying_key(old, 0) is None


def test_a_secret_that_was_replaced_and_an_algorithm_of_before_are_still_known(
    tmp_path: Path, first: ReloadableState
) -> None:
    def started() -> KeyRing:
        return read(load(tmp_path / "config.yml", {"AUTHGW_AUTH__ALGORITHM": "HS256"})).keys

    one = started()
    (tmp_path / "secrets/jwt_key").unlink()
    other = started()
    assert other.known_kids == {*first.keys.kids(0), *one.kids(0), *other.kids(0)}
    assert len(other.known_kids) == 3


def test_a_reload_makes_no_key(
    tmp_path: Path, first: ReloadableState, again: Callable[[], LoadedConfig]
) -> None:
    (key,) = (tmp_path / "secrets/keys").glob("*.pem")
    key.unlink()
    with pytest.raises(SigningKeyError, match="no signing key"):
        read_again(first, again)
    assert not os.listdir(tmp_path / "secrets/keys")


def test_nobody_may_stay_nobody(tmp_path: Path) -> None:
    first = read(load(None, {"AUTHGW_AUTH__KEYS": str(tmp_path / "keys")}))
    second = read_again(first, lambda: first.loaded)
    assert (second.clients.ids, second.users.find("alice"), second.left) == ((), None, ())
