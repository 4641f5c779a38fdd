"""`authgw provider check` at a real provider: in order, and with a single thing wrong each."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.processes import authgw_here
from tests.support.provider_process import (
    CLIENT_ID,
    CLIENT_SECRET,
    ProviderProcess,
    client_of,
    provider_process,
)

LOGIN = "http://auth.example.localhost:4000/login"
KEY = "login.providers.company"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderProcess]:
    with provider_process(tmp_path_factory.mktemp("provider"), [client_of(LOGIN)]) as made:
        yield made


def check(folder: Path, issuer: str, secret: str = CLIENT_SECRET, **keys: Any) -> dict[str, str]:
    """Return the results by their part, as `ok`, or the message of a result that is not."""
    company = {
        "issuer": issuer,
        "client_id": CLIENT_ID,
        "client_secret_file": "company",
        "accept": "linked",
        **keys,
    }
    section = {"url": LOGIN, "providers": {"company": company}}
    (folder / "config.yml").write_text(yaml.safe_dump({"login": section}))
    (folder / "company").write_text(f"{secret}\n")
    (folder / "company").chmod(0o600)
    result = authgw_here(folder, "provider", "check", "company", "--json")
    rows = json.loads(result.stdout)
    assert result.exit_code == int(any(row["severity"] == "problem" for row in rows))
    return {row["part"]: "ok" if row["severity"] == "ok" else str(row["message"]) for row in rows}


def test_a_provider_in_order(tmp_path: Path, provider: ProviderProcess) -> None:
    results = check(tmp_path, provider.issuer, refresh="15m", logout="idp")
    assert set(results.values()) == {"ok"}
    assert {"discovery", "clock", "keys", "client", "back-channel logout"} <= results.keys()


def test_a_wrong_secret(tmp_path: Path, provider: ProviderProcess) -> None:
    results = check(tmp_path, provider.issuer, "another secret")
    assert f"{KEY}.client_secret_file" in results.pop("client")
    assert set(results.values()) == {"ok"}


def test_an_unknown_client(tmp_path: Path, provider: ProviderProcess) -> None:
    assert f"{KEY}.client_id" in check(tmp_path, provider.issuer, client_id="other")["client"]


def test_an_issuer_with_a_slash_too_many(tmp_path: Path, provider: ProviderProcess) -> None:
    results = check(tmp_path, f"{provider.issuer}/")
    assert f"'{provider.issuer}'" in results["discovery"]
    assert f"{KEY}.issuer" in results["discovery"]
    assert "client" not in results


def test_an_algorithm_that_the_provider_lacks(tmp_path: Path, provider: ProviderProcess) -> None:
    assert f"{KEY}.algorithms" in check(tmp_path, provider.issuer, algorithms=["EdDSA"])["keys"]


def test_the_check_leaves_no_session_at_the_provider(
    tmp_path: Path, provider: ProviderProcess
) -> None:
    before = provider.calls
    check(tmp_path, provider.issuer)
    made = {path: count - before.get(path, 0) for path, count in provider.calls.items()}
    assert {path for path, count in made.items() if count} <= {
        "/.well-known/openid-configuration",
        "/jwks",
        "/token",
        "/control",
    }
