"""Discovery documents: those of providers, and each single change for which it is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core.errors import ProviderUnavailableError
from authgw.core.providers.metadata import (
    ProviderMetadata,
    address_problem,
    is_loopback,
    parse_metadata,
)
from tests.support.provider_tokens import ISSUER, changed

SMALLEST = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/certs",
}
COMPLETE = SMALLEST | {
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "end_session_endpoint": f"{ISSUER}/logout?tenant=x",
    "revocation_endpoint": "https://other.example.net:8443/revoke",
    "authorization_response_iss_parameter_supported": True,
    "code_challenge_methods_supported": ["plain", "S256"],
    "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"],
    "id_token_signing_alg_values_supported": ["RS256", "HS256"],
    "backchannel_logout_supported": True,
    "backchannel_logout_session_supported": True,
    "claims_supported": ["sub", "iss"],
}


def parsed(**changes: Any) -> ProviderMetadata:
    return parse_metadata(json.dumps(changed(COMPLETE, **changes)).encode(), ISSUER)


def problem(raw: bytes, issuer: str = ISSUER) -> str:
    with pytest.raises(ProviderUnavailableError) as caught:
        parse_metadata(raw, issuer)
    assert (caught.value.status, caught.value.cause) == (503, "provider_metadata")
    assert "discovery" not in caught.value.detail
    return caught.value.note


def test_a_complete_document() -> None:
    assert parsed() == ProviderMetadata(
        ISSUER,
        f"{ISSUER}/auth",
        f"{ISSUER}/token",
        f"{ISSUER}/certs",
        f"{ISSUER}/userinfo",
        f"{ISSUER}/logout?tenant=x",
        "https://other.example.net:8443/revoke",
        True,
        ("private_key_jwt", "client_secret_post"),
        ("RS256", "HS256"),
        True,
        True,
    )


def test_the_smallest_document() -> None:
    found = parse_metadata(json.dumps(SMALLEST).encode(), ISSUER)
    assert found == ProviderMetadata(ISSUER, f"{ISSUER}/auth", f"{ISSUER}/token", f"{ISSUER}/certs")
    assert found.token_auth_methods == ("client_secret_basic",)
    assert found.userinfo_endpoint == found.revocation_endpoint == found.end_session_endpoint == ""
    assert found.sends_issuer is found.supports_backchannel_logout is False


def test_a_provider_on_this_machine_may_have_http() -> None:
    for host in ("localhost:4444", "127.0.0.1", "[::1]:80", "idp.localhost"):
        issuer = f"http://{host}"
        document = COMPLETE | {"issuer": issuer, "token_endpoint": f"{issuer}/token"}
        assert parse_metadata(json.dumps(document).encode(), issuer).token_endpoint


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"issuer": ...}, "has no `issuer`"),
        ({"issuer": [ISSUER]}, "has no `issuer`"),
        ({"issuer": f"{ISSUER}/"}, "write `issuer` exactly as the provider does"),
        ({"issuer": ISSUER.upper()}, "is of the issuer"),
        ({"issuer": "https://evil.example"}, "is of the issuer"),
        ({"authorization_endpoint": ...}, "has no `authorization_endpoint`"),
        ({"token_endpoint": None}, "has no `token_endpoint`"),
        ({"token_endpoint": ""}, "`token_endpoint`, which is not a URL"),
        ({"jwks_uri": ...}, "has no `jwks_uri`"),
        ({"jwks_uri": 7}, "`jwks_uri`, which is not a text"),
        ({"jwks_uri": "http://id.example.com/certs"}, "is not https"),
        ({"jwks_uri": "http://127.0.0.1.example.com/certs"}, "is not https"),
        ({"jwks_uri": "http://localhost.example.com/certs"}, "is not https"),
        ({"jwks_uri": "http://10.0.0.1/certs"}, "is not https"),
        ({"token_endpoint": "https://user@id.example.com/token"}, "user name or a fragment"),
        ({"token_endpoint": "https://id.example.com/token#"}, "user name or a fragment"),
        ({"token_endpoint": "file:///etc/passwd"}, "not a URL with https"),
        ({"token_endpoint": "https:///token"}, "not a URL with https"),
        ({"token_endpoint": "/token"}, "not a URL with https"),
        ({"token_endpoint": "https://[::1/token"}, "is not a URL"),
        ({"token_endpoint": "https://id.example.com:99999/token"}, "is not a URL"),
        ({"token_endpoint": "https://id.example.com/a b"}, "characters"),
        ({"token_endpoint": "https://id.example.com/\r\nX: y"}, "characters"),
        ({"token_endpoint": "https://idé.example.com/"}, "characters"),
        ({"token_endpoint": f"https://id.example.com/{'x' * 2048}"}, "is too long"),
        ({"userinfo_endpoint": "http://id.example.com/"}, "`userinfo_endpoint`"),
        ({"end_session_endpoint": "javascript:alert(1)"}, "`end_session_endpoint`"),
        ({"revocation_endpoint": ["x"]}, "`revocation_endpoint`"),
        ({"code_challenge_methods_supported": ["plain"]}, "excludes PKCE by S256"),
        ({"code_challenge_methods_supported": []}, "excludes PKCE by S256"),
        ({"code_challenge_methods_supported": "S256"}, "not a list of texts"),
        ({"token_endpoint_auth_methods_supported": [1]}, "not a list of texts"),
        ({"id_token_signing_alg_values_supported": {}}, "not a list of texts"),
        ({"authorization_response_iss_parameter_supported": "yes"}, "not true or false"),
        ({"backchannel_logout_supported": 1}, "not true or false"),
    ],
)
def test_each_unusable_document_names_its_key(change: dict[str, Any], note: str) -> None:
    assert note in problem(json.dumps(changed(COMPLETE, **change)).encode())


@pytest.mark.parametrize("raw", [b"", b"[]", b"<!doctype html>", b'{"issuer":1,"issuer":2}'])
def test_documents_that_are_not_strict_json(raw: bytes) -> None:
    assert "JSON object" in problem(raw)


def test_methods_that_are_not_listed_are_not_excluded() -> None:
    assert parsed(code_challenge_methods_supported=...) == parsed()


@given(
    st.dictionaries(
        st.sampled_from(sorted(COMPLETE)),
        st.none() | st.booleans() | st.text() | st.lists(st.text()),
        min_size=1,
    )
)
def test_an_accepted_document_has_only_safe_addresses(change: dict[str, Any]) -> None:
    try:
        found = parse_metadata(json.dumps(COMPLETE | change).encode(), ISSUER)
    except ProviderUnavailableError:
        return
    assert found.issuer == ISSUER
    assert address_problem(found.token_endpoint) == ""


def test_hosts_of_this_machine() -> None:
    assert all(map(is_loopback, ("localhost", "127.9.9.9", "::1", "a.localhost")))
    assert not any(map(is_loopback, ("", "localhost.com", "1.2.3.4", "notlocalhost", "::2")))


@pytest.mark.parametrize("key", ["token_endpoint", "jwks_uri", "userinfo_endpoint"])
@pytest.mark.parametrize("host", ["localhost:6379", "127.0.0.1:8080", "[::1]", "app.localhost"])
def test_a_provider_elsewhere_names_no_service_of_this_machine(key: str, host: str) -> None:
    document = COMPLETE | {key: f"http://{host}/x"}
    assert f"`{key}`" in problem(json.dumps(document).encode())
