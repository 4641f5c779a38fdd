"""Subjects of rules: users, subjects of trusted backends, accounts of identity providers."""

from pathlib import Path

import pytest

from authgw.config.loader import ConfigError, load
from authgw.core.rules import Allow


def allow_of(folder: Path, text: str) -> Allow:
    (folder / "config.yml").write_text(f"rules:\n  - {{allow: {text}}}\n")
    rules = load(folder / "config.yml", {}).rules
    assert rules is not None
    return rules.ordered[0].allow


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user:alice", Allow(users=frozenset({"alice"}))),
        ("'user:company:7'", Allow(users=frozenset({"company:7"}))),
        ("'user:client/shop:alice'", Allow(backend_users=frozenset({"client/shop:alice"}))),
        ("'user:client/shop:a:b'", Allow(backend_users=frozenset({"client/shop:a:b"}))),
        # Names of users that only begin like it.
        ("'user:client/shop'", Allow(users=frozenset({"client/shop"}))),
        ("'user:client/a/b:c'", Allow(users=frozenset({"client/a/b:c"}))),
        (
            "['user:z', 'user:client/shop:z']",
            Allow(users=frozenset({"z"}), backend_users=frozenset({"client/shop:z"})),
        ),
    ],
)
def test_a_user_of_a_backend_is_named_with_the_backend(
    tmp_path: Path, text: str, expected: Allow
) -> None:
    assert allow_of(tmp_path, text) == expected


@pytest.mark.parametrize("name", ["Company", "a_b", "a b", "a:b", "é"])
def test_a_name_that_no_provider_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is not a valid name of a provider"):
        allow_of(tmp_path, f"'provider:{name}'")
