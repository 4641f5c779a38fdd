"""Logouts at the provider after a logout here."""

from dataclasses import replace
from secrets import token_bytes
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from authgw.core.errors import ProviderUnavailableError
from authgw.core.keys import KeyRing
from authgw.core.providers.model import LOGGED_OUT_STATE
from authgw.core.sealing import Sealer
from authgw.core.sessions import Session
from authgw.services.providers.logout import ProviderLogouts
from authgw.services.providers.secrets import ProviderSecret, seal
from tests.support.builders import KEY, NOW, a_session
from tests.support.fake_provider import ISSUER
from tests.support.provider_scene import SITE, ProviderScene

SEALER = Sealer(KeyRing((KEY,), max_lifetime=3600.0), "authgw", random=token_bytes)


def session_with(secret: ProviderSecret) -> Session:
    session = replace(a_session("company:u1"), source="oidc:company", issuer=ISSUER, account="u1")
    return replace(session, sealed=seal(SEALER, secret, session.sid, NOW))


@pytest.fixture
def scene() -> ProviderScene:
    return ProviderScene()


def logouts(scene: ProviderScene) -> ProviderLogouts:
    return ProviderLogouts([scene.connected], SEALER)


async def test_by_default_the_provider_is_left_alone(scene: ProviderScene) -> None:
    made = logouts(scene)
    assert await made.after(session_with(ProviderSecret()), SITE) == ""
    await made.settle()
    assert scene.provider.calls.made == []


async def test_the_browser_is_sent_to_the_provider_without_a_token(scene: ProviderScene) -> None:
    scene.configure(logs_out=True)
    scene.provider.metadata["end_session_endpoint"] = f"{ISSUER}/logout?a=b"
    url = await logouts(scene).after(session_with(ProviderSecret(id_token="I")), SITE)
    assert url.startswith(f"{ISSUER}/logout?a=b&")
    assert dict(parse_qsl(urlsplit(url).query)) == {
        "a": "b",
        "client_id": "authgw",
        "post_logout_redirect_uri": "https://auth.example.com/login",
        "state": LOGGED_OUT_STATE,
    }


async def test_a_hint_is_sent_only_if_it_is_configured_and_fits(scene: ProviderScene) -> None:
    scene.configure(logs_out=True, sends_hint=True)
    for token, hint in (("I.D.T", ["I.D.T"]), ("x" * 8193, None), ("", None)):
        url = await logouts(scene).after(session_with(ProviderSecret(id_token=token)), SITE)
        assert parse_qs(urlsplit(url).query).get("id_token_hint") == hint


async def test_the_refresh_token_is_revoked_in_the_background(scene: ProviderScene) -> None:
    made = logouts(scene)
    assert await made.after(session_with(ProviderSecret("R1")), SITE) == ""
    assert scene.provider.calls.made == []
    await made.settle()
    assert scene.provider.calls.made[-1].fields["token"] == "R1"


async def test_a_logout_here_never_depends_on_the_provider(scene: ProviderScene) -> None:
    scene.configure(logs_out=True)
    away = ProviderUnavailableError(note="away")
    scene.provider.reply("/.well-known/openid-configuration", away)
    made = logouts(scene)
    assert await made.after(session_with(ProviderSecret("R1")), SITE) == ""
    await made.settle()
    broken = replace(session_with(ProviderSecret("R1")), sealed="v1|x|y|z")
    assert await made.after(broken, SITE) == ""
    assert await made.after(a_session(), SITE) == ""
    moved = replace(session_with(ProviderSecret()), issuer="https://former.example.com")
    assert await made.after(moved, SITE) == ""


async def test_a_provider_without_logout_is_left_alone(scene: ProviderScene) -> None:
    scene.configure(logs_out=True)
    scene.provider.metadata["end_session_endpoint"] = None
    assert await logouts(scene).after(session_with(ProviderSecret()), SITE) == ""
