"""ID tokens of a provider that changes one thing each: nothing is opened, and no address called."""

import json
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import serialization

from tests.support.forged_tokens import ForgersKey, encoded
from tests.support.gateway import MakeGateway
from tests.support.hostile_provider import (
    ACCOUNT,
    CLIENT_ID,
    CLIENT_SECRET,
    Claims,
    HostileProvider,
    Trap,
    duplicated,
)
from tests.support.hostile_scene import case_name, hostile_scene, refused

OTHER = ForgersKey("RS256")


def public_pem(key: ForgersKey) -> bytes:
    kind, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    pem: bytes = key.private.public_key().public_bytes(kind, form)
    return pem


def unsigned(key: ForgersKey, claims: Claims, header: Claims) -> str:
    return key.sign(claims, {**header, "alg": "none"}, alg="none")


def by_client_secret(key: ForgersKey, claims: Claims, header: Claims) -> str:
    secret = CLIENT_SECRET.encode()
    return key.sign(claims, {**header, "alg": "HS256"}, alg="HS256", secret=secret)


def by_public_key(key: ForgersKey, claims: Claims, header: Claims) -> str:
    # PyJWT refuses to sign with a PEM, so the bytes are those of HMAC itself.
    import hashlib
    import hmac

    parts = ".".join(encoded(json.dumps(x).encode()) for x in ({**header, "alg": "HS256"}, claims))
    return f"{parts}.{encoded(hmac.digest(public_pem(key), parts.encode(), hashlib.sha256))}"


def of_another_key(key: ForgersKey, claims: Claims, header: Claims) -> str:
    return OTHER.sign(claims, {**header, "kid": key.kid})


def with_two_subjects(key: ForgersKey, claims: Claims, header: Claims) -> str:
    return key.sign(duplicated(claims, "sub", "another"), header)


def with_two_algorithms(key: ForgersKey, claims: Claims, header: Claims) -> str:
    return key.sign(claims, duplicated(header, "alg", "RS256"))


def padded(key: ForgersKey, claims: Claims, header: Claims) -> str:
    return f"{key.sign(claims, header)}=="


def not_json(key: ForgersKey, claims: Claims, header: Claims) -> str:
    return key.sign(b"not JSON", header)


def without_signature(key: ForgersKey, claims: Claims, header: Claims) -> str:
    return key.sign(claims, header).rpartition(".")[0] + "."


SIGNED: list[tuple[Callable[[ForgersKey, Claims, Claims], str], str]] = [
    (unsigned, "provider_alg"),
    (by_client_secret, "provider_alg"),
    (by_public_key, "provider_alg"),
    (of_another_key, "provider_signature"),
    (without_signature, "provider_signature"),
    (with_two_subjects, "provider_token"),
    (with_two_algorithms, "provider_token"),
    (padded, "provider_token"),
    (not_json, "provider_token"),
]


@pytest.mark.parametrize(("signed", "cause"), SIGNED, ids=[made.__name__ for made, _ in SIGNED])
async def test_a_token_with_another_signature_is_refused(
    make_gateway: MakeGateway,
    op: HostileProvider,
    signed: Callable[[ForgersKey, Claims, Claims], str],
    cause: str,
) -> None:
    scene = await hostile_scene(make_gateway, op)
    op.signed = signed
    await refused(scene, await scene.log_in(), 400, "flow_invalid", cause)


def now() -> int:
    return int(time.time())


CLAIMS: list[tuple[Claims, str]] = [
    ({"iss": "https://accounts.example.org"}, "provider_issuer"),
    ({"iss": None}, "provider_issuer"),
    ({"aud": "another-client"}, "provider_audience"),
    ({"aud": None}, "provider_audience"),
    ({"aud": [CLIENT_ID, "another-client"]}, "provider_audience"),
    ({"aud": [CLIENT_ID, "another-client"], "azp": "another-client"}, "provider_audience"),
    ({"azp": "another-client"}, "provider_audience"),
    ({"nonce": "of another flow"}, "provider_nonce"),
    ({"nonce": None}, "provider_nonce"),
    ({"exp": now() - 600}, "provider_expired"),
    ({"exp": None}, "provider_claims"),
    ({"iat": now() + 86_400}, "provider_not_yet_valid"),
    ({"iat": None}, "provider_claims"),
    ({"iat": True}, "provider_claims"),
    ({"nbf": now() + 86_400}, "provider_not_yet_valid"),
    ({"auth_time": now() + 86_400}, "provider_not_yet_valid"),
    ({"at_hash": "bm90IHRoZSBoYXNo"}, "provider_at_hash"),
    ({"sub": None}, "provider_claims"),
    ({"sub": 248289761001}, "provider_claims"),
    ({"sub": "a\r\nRemote-User: root"}, "provider_claims"),
    ({"sub": "x" * 256}, "provider_claims"),
    ({"events": {}}, "provider_type"),
]


@pytest.mark.parametrize(("claims", "cause"), CLAIMS, ids=case_name)
async def test_a_token_with_another_claim_is_refused(
    make_gateway: MakeGateway, op: HostileProvider, claims: Claims, cause: str
) -> None:
    scene = await hostile_scene(make_gateway, op)
    op.claims = claims
    await refused(scene, await scene.log_in(), 400, "flow_invalid", cause)


HEADERS: list[tuple[Claims, str]] = [
    ({"typ": "at+jwt"}, "provider_type"),
    ({"typ": "logout+jwt"}, "provider_type"),
    ({"alg": "PS256"}, "provider_alg"),
    ({"alg": "RS512"}, "provider_alg"),
    ({"crit": ["exp"]}, "provider_token"),
    ({"jku": "{elsewhere}/jwks"}, "provider_token"),
    ({"x5u": "{elsewhere}/x5u"}, "provider_token"),
    ({"jwk": OTHER.public()}, "provider_token"),
    ({"kid": "{elsewhere}/kid"}, "provider_key_unknown"),
]


@pytest.mark.parametrize(("header", "cause"), HEADERS, ids=[str(list(h)) for h, _ in HEADERS])
async def test_a_token_with_another_header_is_refused(
    make_gateway: MakeGateway, op: HostileProvider, elsewhere: Trap, header: Claims, cause: str
) -> None:
    scene = await hostile_scene(make_gateway, op)
    op.header = elsewhere.placed(header)
    await refused(scene, await scene.log_in(), 400, "flow_invalid", cause)
    assert elsewhere.requests == []


async def test_an_unknown_key_is_looked_up_once_a_minute(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await hostile_scene(make_gateway, op)
    op.header = {"kid": "unknown"}
    for _ in range(3):
        await refused(scene, await scene.log_in(), 400, "flow_invalid", "provider_key_unknown")
    assert op.asked("/jwks") == 2


async def test_a_new_key_of_the_provider_is_found(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await hostile_scene(make_gateway, op)
    assert (await scene.log_in()).status == 303
    scene.jar.cookies.clear()
    op.key = ForgersKey("ES256")
    assert (await scene.log_in()).status == 303
    assert scene.is_logged_in()


@pytest.mark.parametrize(
    "claims",
    [
        {"iat": now() + 30},
        {"aud": [CLIENT_ID]},
        {"aud": [CLIENT_ID, "another-client"], "azp": CLIENT_ID},
        {"at_hash": None},
        {"auth_time": None},
    ],
    ids=case_name,
)
async def test_what_the_specification_permits_is_accepted(
    make_gateway: MakeGateway, op: HostileProvider, claims: Claims
) -> None:
    scene = await hostile_scene(make_gateway, op)
    op.claims = claims
    assert (await scene.log_in()).status == 303
    answer = await scene.jar.check()
    assert answer.headers["Remote-User"] == f"company:{ACCOUNT}"


@pytest.mark.parametrize("alg", ["PS256", "ES256", "EdDSA"])
async def test_every_algorithm_of_the_configuration_is_accepted(
    make_gateway: MakeGateway, op: HostileProvider, alg: str
) -> None:
    op.key = ForgersKey(alg)
    scene = await hostile_scene(make_gateway, op)
    assert (await scene.log_in()).status == 303


async def test_an_algorithm_that_the_configuration_lacks_is_refused(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await hostile_scene(make_gateway, op, algorithms=["ES256"])
    await refused(scene, await scene.log_in(), 400, "flow_invalid", "provider_alg")
