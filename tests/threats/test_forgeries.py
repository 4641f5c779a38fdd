"""Tokens and identities made by hand: their claims about themselves count for nothing."""

import asyncio
import base64
import hmac
import json
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from authgw.core.errors import AuthgwError
from authgw.core.keys import Key, key_from_pem
from authgw.core.tokens import TokenType
from tests.support.builders import KEY, NOW, a_session, an_issuer
from tests.support.gateway import RunningGateway

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256


def b64(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def an_rsa_key() -> Key:
    pem = generate_rsa_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return key_from_pem("a1", pem, 0.0)


def public_spellings(key: Key) -> Iterator[bytes]:
    """Everything public that somebody could take for the secret of an HMAC."""
    assert not isinstance(key.verifying, bytes)
    kind = PublicFormat.SubjectPublicKeyInfo
    pem = key.verifying.public_bytes(Encoding.PEM, kind)
    yield from (pem, pem.strip(), pem.replace(b"\n", b"\r\n"))
    yield key.verifying.public_bytes(Encoding.DER, kind)
    jwks = an_issuer(key).keys.jwks(NOW)
    yield from (json.dumps(jwks).encode(), json.dumps(jwks["keys"][0]).encode(), b"")


@pytest.mark.parametrize("key", [KEY, an_rsa_key()], ids=["ES256", "RS256"])
def test_a_token_does_not_choose_its_algorithm(key: Key) -> None:
    issuer = an_issuer(key)
    _, claims, signature = issuer.mint(a_session(), TokenType.ACCESS, now=NOW).split(".")
    forged = []
    for name in ("none", "None", "NONE", "nOnE", "", "HS256", "RS256", "ES384", "EdDSA", "dir"):
        head = b64({"alg": name, "kid": key.kid, "typ": "at+jwt"})
        forged += [f"{head}.{claims}.", f"{head}.{claims}.{signature}"]
    for name, digest in (("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")):
        head = b64({"alg": name, "kid": key.kid, "typ": "at+jwt"})
        for secret in public_spellings(key):
            made = hmac.new(secret, f"{head}.{claims}".encode(), digest).digest()
            forged.append(f"{head}.{claims}.{b64(made)}")
    for text in forged:
        with pytest.raises(AuthgwError, match="token_"):
            issuer.verify(text, TokenType.ACCESS, now=NOW)


async def test_nothing_is_fetched_for_a_token(gateway: RunningGateway) -> None:
    asked = []
    canary = await asyncio.start_server(lambda *link: asked.append(link), "127.0.0.1", 0)
    where = f"http://127.0.0.1:{canary.sockets[0].getsockname()[1]}/keys"
    private = generate_private_key(SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(private.public_key()))
    good = jwt.decode((await gateway.login())["access"], options={"verify_signature": False})
    ways: list[dict[str, Any]] = [
        {"jku": where},
        {"jku": where, "kid": "theirs"},
        {"x5u": where},
        {"jwk": public},
        {"jwk": {**public, "kid": "a1"}},
        {"x5c": [base64.b64encode(b"no certificate").decode()]},
        {"kid": where},
        {"kid": "a1", "jku": where, "jwk": public, "x5u": where},
    ]
    for way in ways:
        head = {"typ": "at+jwt", "kid": "a1", **way}
        access = jwt.encode(good, private, "ES256", headers=head)
        assert await gateway.status(access) == 401, way
        for path in ("/refresh", "/logout"):
            answer = await gateway.post(path, {"refresh": access})
            assert answer.status == 401, way
    canary.close()
    assert not asked


async def test_another_spelling_of_a_token_is_refused(gateway: RunningGateway) -> None:
    access = (await gateway.login())["access"]
    head, claims, signature = access.split(".")
    raw = unb64(signature)
    s = int.from_bytes(raw[32:], "big")
    twin = f"{head}.{claims}.{b64(raw[:32] + (ORDER - s).to_bytes(32, 'big'))}"
    padded = [f"{access}=", f"{head}.{claims}=.{signature}", f"{head}.{claims}.{signature}=="]
    assert await gateway.status(access) == 200
    assert {await gateway.status(text) for text in (twin, *padded)} == {401}
    logout = await gateway.post("/logout", headers={"Authorization": f"Bearer {access}"})
    assert logout.status == 200
    assert {await gateway.status(text) for text in (access, twin, *padded)} == {401}


async def test_a_twin_of_a_previous_versions_token_ends_with_its_session(
    gateway: RunningGateway,
) -> None:
    access = (await gateway.login())["access"]
    claims = jwt.decode(access, options={"verify_signature": False})
    signing: Any = KEY.signing
    # With a random nonce, so that the public key alone can tell a valid signature.
    previous = jwt.encode(claims, signing, "ES256", {"kid": KEY.kid, "typ": "at+jwt"})
    signed, _, signature = previous.rpartition(".")
    raw = unb64(signature)
    twin = f"{signed}.{b64(raw[:32] + (ORDER - int.from_bytes(raw[32:])).to_bytes(32))}"
    assert {await gateway.status(text) for text in (previous, twin)} == {200}
    logout = await gateway.post("/logout", headers={"Authorization": f"Bearer {previous}"})
    assert logout.status == 200
    assert {await gateway.status(text) for text in (access, previous, twin)} == {401}


NAMES = [
    "a\r\nRemote-User: admin",
    "a\nX: y",
    "a\rb",
    "a\x00b",
    "a\x0bb",
    "a\x85b",
    "a\u2028b",
    "a\x7fb",
    "\tadmin",
    "admin ",
    "a\u200fb",
    "\u00e4\u00f6",
    "\u738b",
    "\U0001f600",
    "a,b; c=d",
    '"admin"',
    "admin\u200b",
]


@pytest.mark.parametrize("name", NAMES)
async def test_no_identity_becomes_another_header(gateway: RunningGateway, name: str) -> None:
    for field in ("subject", "name", "email"):
        who = {"subject": "visitor", field: name}
        answer = await gateway.post("/login", who, headers=gateway.shop)
        if answer.status == 400:
            continue
        assert not any(ord(letter) < 32 or ord(letter) in (127, 133, 0x2028) for letter in name)
        access = (await answer.json())["access"]
        # The first response is aiohttp's, the third is a single prepared block.
        for _ in range(3):
            checked = await gateway.check(access)
            assert checked.status == 200
            header = {"subject": "User", "name": "Name", "email": "Email"}[field]
            assert checked.headers.getall(f"Remote-{header}") == [name]
    answer = await gateway.post(
        "/login", {"subject": "visitor", "groups": [name]}, headers=gateway.shop
    )
    assert answer.status in (400, 403)


async def test_what_anybody_can_read(gateway: RunningGateway) -> None:
    """Every GET route by nobody, under names that other gateways let pass unseen."""
    open_ = {"/ping", "/healthz", "/readyz", "/.well-known/jwks.json", "/openapi.json"}
    open_ |= {"/favicon.ico", "/login/icon.svg"}
    names = ("kube-probe/1.30", "ELB-HealthChecker/2.0", "GoogleHC/1.0", "Prometheus/2.53")
    routes = {
        route.resource.canonical
        for route in gateway.server.app.router.routes()
        if route.method in ("GET", "*") and route.resource is not None
    }
    assert routes > open_
    for agent in names:
        for path in (*routes, "/metrics", "/docs", "/secrets/keys", "/debug", "/.env"):
            answer = await gateway.client.get(path, headers={"User-Agent": agent})
            text = await answer.text()
            if path in open_ or path.endswith(".css"):
                assert answer.status == 200, path
            else:
                assert answer.status in (401, 403, 404, 405), path
            assert "PRIVATE" not in text
            assert gateway.shop["Authorization"].split()[1] not in text
    keys = (await (await gateway.client.get("/.well-known/jwks.json")).json())["keys"]
    assert all(not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & set(key) for key in keys)
