"""The imitated providers of these tests: right, unless a test makes them wrong."""

import asyncio
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit

import aiohttp
import jwt
import pytest

from tests.support import github_lookalike, hostile_provider
from tests.support.forged_tokens import ForgersKey, encoded
from tests.support.gateway import basic
from tests.support.hostile_provider import HostileProvider, duplicated, hang

VERIFIER = "v" * 43
BACK = "http://auth.example.localhost/login/oidc/company/callback"


async def code_of(session: aiohttp.ClientSession, authorize: str) -> dict[str, str]:
    """Return the parameters of the callback."""
    query = {
        "redirect_uri": BACK,
        "state": "a state",
        "nonce": "a nonce",
        "code_challenge": encoded(sha256(VERIFIER.encode()).digest()),
    }
    async with session.get(f"{authorize}?{urlencode(query)}", allow_redirects=False) as answer:
        assert answer.status == 302
        return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


async def tokens_of(session: aiohttp.ClientSession, op: HostileProvider, **form: str) -> Any:
    credentials = (hostile_provider.CLIENT_ID, quote_plus(hostile_provider.CLIENT_SECRET))
    url = f"{op.url}/token"
    async with session.post(url, data=form, headers=basic(*credentials)) as answer:
        return await answer.json()


async def exchanged(op: HostileProvider, verifier: str = VERIFIER) -> Any:
    async with aiohttp.ClientSession() as session:
        callback = await code_of(session, f"{op.url}/authorize")
        form = {"grant_type": "authorization_code", "redirect_uri": BACK, "code": callback["code"]}
        return await tokens_of(session, op, **form, code_verifier=verifier)


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_a_token_verifies_by_the_published_key(alg: str) -> None:
    async with hostile_provider.hostile_provider(key=ForgersKey(alg)) as op:
        tokens = await exchanged(op)
        async with aiohttp.ClientSession() as session, session.get(f"{op.url}/jwks") as answer:
            (published,) = jwt.PyJWKSet.from_dict(await answer.json()).keys
        read = partial(
            jwt.decode,
            key=published,
            algorithms=[alg],
            audience=hostile_provider.CLIENT_ID,
            issuer=op.issuer,
        )
        claims = read(tokens["id_token"])
        assert (claims["sub"], claims["nonce"]) == (hostile_provider.ACCOUNT, "a nonce")
        assert read(op.logout_token())["events"] == {hostile_provider.LOGOUT_EVENT: {}}


async def test_a_replaced_claim_is_in_the_signed_token() -> None:
    async with hostile_provider.hostile_provider(
        claims={"iss": "https://other", "nonce": None}
    ) as op:
        tokens = await exchanged(op)
    claims = jwt.decode(tokens["id_token"], options={"verify_signature": False})
    assert claims["iss"] == "https://other"
    assert "nonce" not in claims


async def test_a_member_can_come_twice() -> None:
    assert duplicated({"sub": "a"}, "sub", "b") == b'{"sub": "a", "sub": "b"}'


@pytest.mark.parametrize("alg", ["none", "HS256"])
async def test_a_token_can_have_the_signature_of_another_algorithm(alg: str) -> None:
    secret = b"s" * 32 if alg == "HS256" else None
    token = ForgersKey("ES256").sign({"sub": "a"}, {"alg": alg}, alg=alg, secret=secret)
    assert token.endswith(".") == (alg == "none")
    assert jwt.get_unverified_header(token)["alg"] == alg


async def test_a_wrong_verifier_and_a_spent_token_are_refused() -> None:
    async with hostile_provider.hostile_provider() as op, aiohttp.ClientSession() as session:
        assert (await exchanged(op, "w" * 43))["error"] == "invalid_grant"
        form = {
            "grant_type": "refresh_token",
            "refresh_token": (await exchanged(op))["refresh_token"],
        }
        assert "nonce" not in jwt.decode(
            (await tokens_of(session, op, **form))["id_token"], options={"verify_signature": False}
        )
        assert (await tokens_of(session, op, **form))["error"] == "invalid_grant"


async def test_a_path_can_respond_otherwise_or_never() -> None:
    async with hostile_provider.hostile_provider() as op, aiohttp.ClientSession() as session:
        op.answers("/jwks", 302, Location="https://other/")
        async with session.get(f"{op.url}/jwks", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "https://other/")
        op.instead["/jwks"] = hang
        with pytest.raises(asyncio.TimeoutError):
            await session.get(f"{op.url}/jwks", timeout=aiohttp.ClientTimeout(0.1))
        assert op.asked("/jwks") == 2


async def test_the_lookalike_pages_its_lists_for_those_with_a_token() -> None:
    many = [("acme", f"team-{number}") for number in range(5)]
    async with (
        github_lookalike.github_lookalike(teams=many, page=2) as github,
        aiohttp.ClientSession() as session,
    ):
        callback = await code_of(session, f"{github.url}/login/oauth/authorize")
        form = {
            "client_id": github_lookalike.CLIENT_ID,
            "client_secret": github_lookalike.CLIENT_SECRET,
            "code": callback["code"],
            "code_verifier": VERIFIER,
        }
        json = {"Accept": "application/json"}
        url = f"{github.url}/login/oauth/access_token"
        async with session.post(url, data=form, headers=json) as answer:
            token = (await answer.json())["access_token"]
        async with session.post(url, data=form, headers=json) as answer:
            assert (answer.status, await answer.json()) == (200, {"error": "bad_verification_code"})
        found, page = [], f"{github.url}/api/v3/user/teams?per_page=100"
        while page:
            bearer = {"Authorization": f"Bearer {token}"}
            async with session.get(page, headers=bearer) as answer:
                found += [team["slug"] for team in await answer.json()]
                page = str(answer.links["next"]["url"]) if "next" in answer.links else ""
        assert found == [slug for _, slug in many]
        async with session.get(f"{github.url}/api/v3/user") as answer:
            assert answer.status == 401
