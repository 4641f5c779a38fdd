"""Subjects of rules: users, subjects of trusted backends, accounts of identity providers."""

from pathlib import Path

import pytest

from authgw.core.rules import Allow
from tests.support.config import loaded, problems
from tests.support.provider_settings import COMPANY, text


def allow_of(folder: Path, subjects: str) -> Allow:
    rules = loaded(folder, f"rules:\n  - {{allow: {subjects}}}\n").rules
    assert rules is not None
    return rules.ordered[0].allow


@pytest.mark.parametrize(
    ("subjects", "expected"),
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
    tmp_path: Path, subjects: str, expected: Allow
) -> None:
    assert allow_of(tmp_path, subjects) == expected


def test_a_provider_of_a_rule_has_to_be_configured(tmp_path: Path) -> None:
    rules = [{"allow": ["group:a"]}, {"allow": ["provider:company", "provider:gone"]}]
    (problem,) = problems(tmp_path, text(rules, company=COMPANY))
    assert problem == (
        "config.yml:12: rules[1].allow: login.providers has no provider gone: add it there, or "
        "remove provider:gone"
    )
    rules[1]["allow"] = ["provider:company"]
    compiled = loaded(tmp_path, text(rules, company=COMPANY)).rules
    assert compiled is not None
    assert compiled.ordered[1].allow == Allow(providers=frozenset({"company"}))


@pytest.mark.parametrize(
    ("rule", "warned"),
    [
        ("allow: 'user:client/shop:a', require: totp", True),
        ("allow: authenticated, require: totp, credentials: app-password", True),
        ("allow: authenticated, require: totp, credentials: [app-password, cookie]", False),
        ("allow: ['user:client/shop:a', 'group:a'], require: totp", False),
        ("allow: ['user:client/shop:a', 'user:a'], require: totp", False),
        ("allow: 'user:client/shop:a'", False),
    ],
)
def test_a_second_factor_that_no_caller_can_present_is_warned_of(
    tmp_path: Path, rule: str, warned: bool
) -> None:
    warnings = loaded(tmp_path, f"rules:\n  - {{{rule}}}\n").warnings
    assert [*warnings] == [
        warning
        for warning in warnings
        if warning.startswith("config.yml:2: rules[0].require is totp, and neither")
    ]
    assert bool(warnings) is warned


@pytest.mark.parametrize("name", ["Company", "a_b", "a b", "a:b", "é"])
def test_a_name_that_no_provider_can_have_is_refused(tmp_path: Path, name: str) -> None:
    (problem,) = problems(tmp_path, f"rules:\n  - {{allow: 'provider:{name}'}}\n")
    assert "is not a valid name of a provider" in problem
