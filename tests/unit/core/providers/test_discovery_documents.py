"""Discovery documents of vendors, written from their published documentation."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from authgw.core.errors import ProviderUnavailableError
from authgw.core.providers.metadata import parse_metadata

DOCUMENTS = sorted((Path(__file__).parents[3] / "data" / "discovery").glob("*.json"))


def recorded(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_there_is_a_document_of_each_vendor_with_openid_connect() -> None:
    names = ["authentik", "entra-id", "gitlab", "google", "keycloak", "pocket-id"]
    assert [file.stem for file in DOCUMENTS] == names


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.stem)
def test_the_document_has_its_source_and_date(file: Path) -> None:
    entry = recorded(file)
    assert entry["source"].startswith("https://")
    assert date.fromisoformat(entry["date"])


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.stem)
def test_the_document_is_accepted_for_its_issuer_only(file: Path) -> None:
    document = recorded(file)["document"]
    raw, issuer = json.dumps(document).encode(), document["issuer"]
    metadata = parse_metadata(raw, issuer)
    assert metadata.issuer == issuer
    assert metadata.jwks_uri == document["jwks_uri"]
    assert metadata.end_session_endpoint == document.get("end_session_endpoint", "")
    other = issuer.removesuffix("/") if issuer.endswith("/") else f"{issuer}/"
    with pytest.raises(ProviderUnavailableError, match="provider_unavailable"):
        parse_metadata(raw, other)
