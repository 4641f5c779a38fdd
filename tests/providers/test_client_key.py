"""A client with a key in place of a secret; the claims are in the user information."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.support.forged_tokens import ForgersKey
from tests.support.provider_site import NAME, ProviderSite, provider_site


def key_file(folder: Path, key: ForgersKey) -> Path:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    made = folder / f"{key.kid}.pem"
    pem = key.private.private_bytes(encoding, form, serialization.NoEncryption())
    made.write_bytes(pem)
    made.chmod(0o600)
    return made


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderSite]:
    folder, key = tmp_path_factory.mktemp("key"), ForgersKey("ES256")
    client = {
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks": {"keys": [key.public()]},
    }
    with provider_site(
        "nginx",
        folder,
        client=client,
        options={"claims": "userinfo"},
        client_secret_file=None,
        client_key_file=str(key_file(folder, key)),
    ) as made:
        yield made


def test_the_account_has_the_claims_of_the_user_information(site: ProviderSite) -> None:
    browser = site.logged_in("/page")
    assert (browser.status, browser.url) == (200, site.app("/page")), browser.text
    headers = {name.lower(): value for name, value in json.loads(browser.text)["headers"]}
    assert headers["remote-user"] == f"{NAME}:ada"
    assert headers["remote-groups"] == "admins,kc:staff"
    assert headers["remote-email"] == "ada@example.com"
    assert site.provider.calls["/me"] == 1
