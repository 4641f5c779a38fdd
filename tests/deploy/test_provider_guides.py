"""The guides for vendors of identity providers: what they print, and what they register."""

import json
import re
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from authgw.core.provider_causes import PROVIDER_CAUSES
from authgw.core.providers.model import GITHUB_ISSUER
from authgw.doctor.findings import Grade
from authgw.doctor.provider_check import ProviderCheck
from authgw.identity.bindings_file import Account, parse_bindings
from tests.support.builders import NOW
from tests.support.config import loaded
from tests.support.fake_provider import FakeCalls, FakeProvider, as_json
from tests.support.guides import GUIDES, HOW_TO, blocks, only, write_secrets
from tests.support.processes import ROOT, authgw_here

RSA_KEY = jwt.algorithms.RSAAlgorithm.to_jwk(
    generate_private_key(65537, 2048).public_key(), as_dict=True
)
VENDORS = ["authentik", "entra-id", "github", "gitlab", "google", "keycloak", "pocket-id"]


def provider_of(guide: str) -> tuple[str, dict[str, Any]]:
    """Return name and settings of the provider in the configuration of a guide."""
    config = yaml.safe_load(blocks(guide, "yaml", "config.yml")[0].text)
    ((name, settings),) = config["login"]["providers"].items()
    return name, settings


def test_each_vendor_has_a_guide_that_the_general_page_names() -> None:
    general = (HOW_TO / "identity-providers.md").read_text()
    for vendor in VENDORS:
        assert vendor in GUIDES
        assert f"({vendor}.md)" in general


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_claims_become_what_the_guide_prints(tmp_path: Path, vendor: str) -> None:
    (printed,) = (
        block.text for block in blocks(vendor, "text") if block.text.startswith("ok       account")
    )
    for title in ("config.yml", "claims.json"):
        (tmp_path / title).write_text(only(vendor, title))
    name, _ = provider_of(vendor)
    command = ("provider", "check", name, "--claims", "claims.json")
    assert f"`authgw {' '.join(command)}` prints:" in (HOW_TO / f"{vendor}.md").read_text()
    result = authgw_here(tmp_path, *command)
    assert (result.exit_code, result.stdout) == (0, printed)


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_guide_registers_the_redirect_address(vendor: str) -> None:
    text = (HOW_TO / f"{vendor}.md").read_text()
    name, _ = provider_of(vendor)
    assert f"`https://auth.example.com/login/oidc/{name}/callback`" in text
    assert f"authgw provider check {name}" in text


@pytest.mark.parametrize("vendor", VENDORS)
def test_issuer_and_features_are_those_of_the_discovery_document(vendor: str) -> None:
    _, settings = provider_of(vendor)
    claims = json.loads(only(vendor, "claims.json"))
    if settings.get("type") == "github":
        assert claims.get("iss", GITHUB_ISSUER) == GITHUB_ISSUER
        return
    file = ROOT / "tests" / "data" / "discovery" / f"{vendor}.json"
    document = json.loads(file.read_text())["document"]
    assert settings["issuer"] == document["issuer"] == claims["iss"]
    scopes = settings.get("scopes", ["openid", "profile", "email"])
    assert set(scopes) <= set(document["scopes_supported"])
    if settings.get("logout", "local") != "local":
        assert document["end_session_endpoint"]
    text = (HOW_TO / f"{vendor}.md").read_text()
    assert ("/backchannel`" in text) == document.get("backchannel_logout_supported", False)


def test_the_vendors_pages_are_short() -> None:
    for vendor in VENDORS:
        lines = (HOW_TO / f"{vendor}.md").read_text().splitlines()
        assert len(lines) <= 130, (vendor, len(lines))


def test_the_causes_of_the_troubleshooting_page_exist() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    causes = re.findall(r"^\| cause `([a-z_]+)` \|", page, re.MULTILINE)
    assert len(causes) >= 7
    assert set(causes) <= PROVIDER_CAUSES.keys()


def test_the_pages_of_vendors_name_causes_that_exist() -> None:
    for vendor in VENDORS:
        text = (HOW_TO / f"{vendor}.md").read_text()
        assert set(re.findall(r"cause `([a-z_]+)`", text)) <= PROVIDER_CAUSES.keys()


def test_the_bindings_of_the_guide_are_valid(tmp_path: Path) -> None:
    text = only("identity-providers", "bindings.yml")
    bindings = parse_bindings(tmp_path / "bindings.yml", text)
    assert bindings.names == {"company:alice": Account("https://id.example.com", "7f3c9a")}


def check_of(guide: str, folder: Path, calls: FakeCalls) -> ProviderCheck:
    """Return the check of the provider in the configuration of a guide."""
    text = blocks(guide, "yaml", "config.yml")[0].text
    write_secrets(folder, text)
    login = loaded(folder, text).settings.login
    name, _ = provider_of(guide)
    return ProviderCheck(login.loaded_providers(folder)[name], login.sites.all, calls, lambda: NOW)


def calls_to(document: dict[str, Any], *keys: dict[str, Any]) -> FakeCalls:
    """Return calls to a provider with this discovery document and these keys."""
    issuer = document["issuer"].removesuffix("/")
    date = formatdate(NOW, usegmt=True)
    return FakeCalls(
        {
            f"{issuer}/.well-known/openid-configuration": replace(as_json(document), date=date),
            document["jwks_uri"]: as_json({"keys": keys}),
            document["token_endpoint"]: as_json({"error": "invalid_grant"}, 400),
        }
    )


async def test_the_general_guide_prints_a_provider_in_order(tmp_path: Path) -> None:
    issuer = "https://id.example.com"
    document = {
        **{key: f"{issuer}/{key}" for key in ("authorization_endpoint", "token_endpoint")},
        "issuer": issuer,
        "jwks_uri": f"{issuer}/keys",
        "backchannel_logout_supported": True,
        "code_challenge_methods_supported": ["S256"],
    }
    check = check_of("identity-providers", tmp_path, calls_to(document, FakeProvider().jwk()))
    (printed,) = (block.text for block in blocks("identity-providers", "text"))
    assert "".join(f"{result}\n" for result in await check.results()) == printed


@pytest.mark.parametrize("vendor", [name for name in VENDORS if name != "github"])
async def test_a_vendors_provider_is_in_order_with_the_configuration_of_its_guide(
    tmp_path: Path, vendor: str
) -> None:
    file = ROOT / "tests" / "data" / "discovery" / f"{vendor}.json"
    document = json.loads(file.read_text())["document"]
    check = check_of(vendor, tmp_path, calls_to(document, RSA_KEY))
    results = {result.part: result for result in await check.results()}
    assert [str(result) for result in results.values() if result.grade is not Grade.OK] == []
    name, _ = provider_of(vendor)
    registered = results["redirect address"].text.removeprefix("register ")
    assert registered == f"https://auth.example.com/login/oidc/{name}/callback"
