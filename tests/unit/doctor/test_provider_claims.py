"""The identity of an account with given claims: admitted, or refused with the key to change."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from authgw.core.errors import ProviderRefusedError
from authgw.core.provider_causes import PROVIDER_CAUSES
from authgw.core.providers.model import Accept, GroupMapping, Provider
from authgw.core.users import NoUsers, User
from authgw.doctor import provider_claims
from authgw.doctor.findings import Grade
from authgw.doctor.provider_claims import ClaimsFileError, examine, read_claims

KEY = "login.providers.company"
CLAIMS = {
    "sub": "7f3c",
    "name": "Alice",
    "email": "alice@example.com",
    "email_verified": True,
    "groups": ["staff", "Team Blue"],
}
PROVIDER = Provider(
    name="company",
    kind="oidc",
    issuer="https://id.example.com",
    client_id="authgw",
    accept=Accept(groups=frozenset({"staff"})),
    groups=GroupMapping(prefix="kc:"),
)


def lines(folder: Path, provider: Provider, **changed: Any) -> list[str]:
    file = folder / "claims.json"
    file.write_text(json.dumps(CLAIMS | changed))
    claims = read_claims(file, provider)
    return [str(result) for result in examine(provider, claims, NoUsers())]


def test_an_admitted_account_has_all_parts(tmp_path: Path) -> None:
    assert lines(tmp_path, PROVIDER, amr=["mfa"]) == [
        "ok       account: 7f3c at https://id.example.com",
        "ok       subject: company:7f3c",
        "warning  groups: kc:staff; left out: 'Team Blue', which cannot be names of groups here: "
        f"add them to {KEY}.groups.map, or write 1 to 64 of A-Z a-z 0-9 . _ : @ / -",
        "ok       e-mail: alice@example.com",
        "ok       second factor: reported by the provider",
        "ok       login: admitted",
    ]


def test_a_name_that_a_login_binds_is_announced(tmp_path: Path) -> None:
    provider = replace(PROVIDER, subject="name", binds_first=True, plain_names=True)
    assert "ok       subject: Alice, which this login would bind to the account" in lines(
        tmp_path, provider
    )


def test_a_linked_account_is_that_of_its_user(tmp_path: Path) -> None:
    class Linked(NoUsers):
        def linked(self, issuer: str, account: str) -> User | None:
            return User("alice", ("family",), {}, False, frozenset(), False)

    file = tmp_path / "claims.json"
    file.write_text(json.dumps(CLAIMS))
    found = [str(result) for result in examine(PROVIDER, read_claims(file, PROVIDER), Linked())]
    assert "ok       subject: alice, the user that the account is linked to" in found
    assert "ok       groups: family" in found
    assert "ok       e-mail: none" in found


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"email": None}, "ok       e-mail: none"),
        ({"email_verified": False}, f"set {KEY}.email: trusted"),
        ({"groups": ["staff"]}, "ok       groups: kc:staff"),
        ({"amr": "mfa"}, "ok       second factor: reported by the provider"),
    ],
)
def test_each_part_follows_the_claims(tmp_path: Path, changed: dict[str, Any], line: str) -> None:
    assert any(line in text for text in lines(tmp_path, PROVIDER, **changed))


def test_an_address_outside_of_the_accepted_domains_names_the_key(tmp_path: Path) -> None:
    accept = Accept(groups=frozenset({"staff"}), domains=frozenset({"example.org"}))
    found = lines(tmp_path, replace(PROVIDER, accept=accept))
    assert any(f"{KEY}.accept.domains" in text for text in found)


@pytest.mark.parametrize(
    ("changed", "of_provider", "cause", "text"),
    [
        ({"groups": []}, {}, "account_not_accepted", f"extend {KEY}.accept"),
        ({}, {"subject": "name"}, "name_unbound", f"set {KEY}.bind: first"),
        ({}, {"subject": "upn"}, "name_missing", f"correct {KEY}.subject"),
        (
            {"email_verified": False},
            {"subject": "email"},
            "email_unverified",
            f"set {KEY}.email: trusted",
        ),
        (
            {"groups": None, "_claim_names": {"groups": "src1"}},
            {},
            "groups_overage",
            "assigned to this client",
        ),
    ],
)
def test_a_refusal_names_its_cause_and_the_key(
    tmp_path: Path, changed: dict[str, Any], of_provider: dict[str, Any], cause: str, text: str
) -> None:
    last = lines(tmp_path, replace(PROVIDER, **of_provider), **changed)[-1]
    assert last.startswith(f"{Grade.PROBLEM.value:8} login: refused ({cause}): ")
    assert text in last


def test_malformed_groups_are_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(ProviderRefusedError) as refused:
        lines(tmp_path, PROVIDER, groups={"staff": True})
    text = provider_claims.refusal_text(refused.value, "company")
    assert f"correct {KEY}.groups.claim" in text


def test_every_remedy_belongs_to_a_cause() -> None:
    assert set(provider_claims._REMEDIES) <= set(PROVIDER_CAUSES)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[]", "not a JSON object"),
        ('{"sub": "a", "sub": "b"}', "not a JSON object"),
        ("{}", "has no valid `sub`"),
        ('{"sub": 7}', "has no valid `sub`"),
        ('{"sub": "\\u001b[2J"}', "has no valid `sub`"),
        ('{"sub": "a", "iss": "https://other.example.com"}', f"{KEY}.issuer"),
        (" " * (1024 * 1024 + 1), "not a JSON object"),
    ],
)
def test_a_file_without_the_claims_of_a_token_is_refused(
    tmp_path: Path, text: str, part: str
) -> None:
    file = tmp_path / "claims.json"
    file.write_text(text)
    with pytest.raises(ClaimsFileError, match=part.replace(".", "[.]")):
        read_claims(file, PROVIDER)
