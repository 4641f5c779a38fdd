"""Logs and events of logins at a provider: no code, token, nonce or secret is in them."""

from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger

from authgw.core.errors import ProviderUnavailableError
from tests.support.fake_provider import as_json
from tests.support.provider_browser import MakeSite, sent_by
from tests.web.test_provider_login import CALLBACK

CODE = "code-of-a-login"
TOKENS = {"access_token": "the-access-token", "refresh_token": "the-refresh-token"}


@pytest.fixture
def lines() -> Iterator[list[str]]:
    found: list[str] = []
    sink = logger.add(lambda message: found.append(f"{message} {message.record}"), level=0)
    yield found
    logger.remove(sink)


def refused(error: str) -> object:
    return lambda call: as_json({"error": error, "error_description": str(dict(call.fields))}, 400)


FAULTS: dict[str, dict[str, Any]] = {
    "": {},
    "/token": {"/token": refused("invalid_grant")},
    "client": {"/token": refused("invalid_client")},
    "keys": {"/keys": ProviderUnavailableError(note="away")},
    "garbage": {"/token": as_json({**TOKENS, "token_type": "mac"})},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("query", ["", "&iss=https://evil.example", "&code=2", "&error=x"])
async def test_no_secret_is_logged(
    make_site: MakeSite, lines: list[str], fault: str, query: str
) -> None:
    site = await make_site(refresh="1m", logout={"hint": True})
    site.provider.tokens.update(TOKENS)
    for path, reply in FAULTS[fault].items():
        site.provider.reply(path, reply)
    started = await site.start()
    sent = sent_by(started)
    (flow,) = site.flows()
    ticket = site.jar.cookies[flow]
    path = site.answer(started, email="a@example.com").replace("code=C1", f"code={CODE}")
    for url in (path + query, path + query, f"{CALLBACK}?code={CODE}&state={sent['state']}"):
        await site.jar.get(url)
    await site.jar.get("/login/account")
    await site.jar.post("/logout")
    posted = [call.fields for call in site.provider.calls.made if call.method == "POST"]
    verifiers = [fields["code_verifier"] for fields in posted if "code_verifier" in fields]
    secrets = [CODE, sent["nonce"], sent["state"], ticket, *TOKENS.values(), *verifiers]
    secrets += [site.provider.tokens["id_token"], "top secret"]
    shown = "\n".join([*lines, *map(repr, site.running.events)])
    assert [secret for secret in secrets if secret in shown] == []
