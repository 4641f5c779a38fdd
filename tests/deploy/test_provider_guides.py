"""The guides for vendors of identity providers: what they print, and what they register."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from authgw.core.provider_causes import PROVIDER_CAUSES
from authgw.core.providers.model import GITHUB_ISSUER
from authgw.identity.bindings_file import Account, parse_bindings
from tests.support.guides import GUIDES, HOW_TO, blocks, only
from tests.support.processes import ROOT, authgw_here

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
