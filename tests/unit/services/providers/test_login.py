"""Logins at a provider: the redirect, the response, and everything that does not fit together."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from authgw.core.errors import ProviderUnavailableError, StoreUnavailableError
from authgw.core.limits import PER_CALLBACK
from authgw.core.tokens import TicketClaims, TokenType
from authgw.services.providers.results import FinishedLogin, RefusedLogin
from authgw.services.providers.secrets import ProviderSecret
from tests.support.builders import NOW
from tests.support.fake_provider import ISSUER, PROVIDER, FakeProvider, as_json
from tests.support.provider_scene import (
    OTHER_SITE,
    ProviderScene,
    cause_of,
    query_of,
)

RD = "https://app.example.com/a?b=1"


@pytest.fixture
def scene() -> ProviderScene:
    return ProviderScene()


async def test_a_login_goes_to_the_provider_with_pkce_and_nonce(scene: ProviderScene) -> None:
    flow = await scene.start(rd=RD, prompt="select_account")
    sent = query_of(flow)
    assert flow.url.startswith(f"{ISSUER}/auth?")
    assert sent["redirect_uri"] == "https://auth.example.com/login/oidc/company/callback"
    assert (sent["response_type"], sent["code_challenge_method"]) == ("code", "S256")
    assert (sent["client_id"], sent["prompt"]) == ("authgw", "select_account")
    assert sent["nonce"] not in (sent["state"], sent["code_challenge"])
    assert flow.cookie_suffix == sent["state"][:8]
    assert sent["state"] not in flow.ticket
    assert flow.ticket not in repr(flow)
    other = query_of(await scene.start())
    assert not {sent[name] for name in ("state", "nonce")} & {*other.values()}


async def test_a_start_writes_nothing_to_the_store(scene: ProviderScene) -> None:
    await scene.start(rd=RD)
    assert scene.counters.trips == 0


async def test_a_login_has_the_claims_of_its_id_token(scene: ProviderScene) -> None:
    flow = await scene.start(rd=RD)
    pairs = scene.answer(
        flow,
        name="Alice",
        email="a@example.com",
        email_verified=True,
        groups=["dev"],
        auth_time=int(NOW) - 60,
        amr=["pwd"],
        sid="S1",
    )
    scene.configure(groups=replace(PROVIDER.groups, prefix="kc:"))
    found = await scene.callback(pairs, flow.ticket)
    assert isinstance(found, FinishedLogin)
    login = found.login
    assert (login.sub, login.source, login.groups) == ("company:u1", "oidc:company", ("kc:dev",))
    assert (login.email, login.name) == ("a@example.com", "Alice")
    assert (login.issuer, login.account, login.idp_sid) == (ISSUER, "u1", "S1")
    assert (login.auth_time, login.factor_time, login.amr) == (NOW - 60, 0.0, ("pwd",))
    assert (login.checked_at, login.groups_from) == (NOW, "id_token")
    assert login.ends_at == NOW + PROVIDER.session
    assert (found.flow.rd, found.flow.purpose, found.needs_code) == (RD, "login", False)
    assert found.secret == ProviderSecret()
    token = next(call for call in scene.provider.calls.made if call.method == "POST")
    assert token.fields["code_verifier"]
    assert f"{ISSUER}/userinfo" not in scene.provider.calls.urls()


async def test_userinfo_is_read_for_missing_claims_only(scene: ProviderScene) -> None:
    scene.provider.userinfo = {"sub": "u1", "name": "Alice", "groups": ["dev"]}
    scene.configure(groups=replace(PROVIDER.groups, prefix="kc:"))
    found = await scene.logged_in()
    assert (found.login.name, found.login.groups) == ("Alice", ("kc:dev",))
    assert found.login.groups_from == "userinfo"
    call = scene.provider.calls.made[-1]
    assert (call.url, call.bearer) == (f"{ISSUER}/userinfo", "AT")
    scene.provider.userinfo["sub"] = "u2"
    assert cause_of(await scene.log_in()) == "flow_invalid/provider_userinfo"
    scene.provider.reply("/userinfo", as_json({}, 403))
    refused = await scene.log_in()
    assert isinstance(refused, RefusedLogin)
    assert refused.error.note == f"{ISSUER}/userinfo responded with status 403"


# --- T60: another browser's response ---


async def test_a_response_without_the_cookie_of_its_flow_is_refused(scene: ProviderScene) -> None:
    mine, attackers = await scene.start(rd=RD), await scene.start(rd=RD)
    pairs = scene.answer(attackers)
    before = len(scene.provider.calls.made)
    for tickets in ((), (mine.ticket,), ("nonsense", "a.b.c", mine.ticket)):
        found = await scene.callback(pairs, *tickets)
        assert cause_of(found) == "flow_invalid/flow_cookie"
        assert isinstance(found, RefusedLogin)
        assert found.flow is None
        assert found.error.log_fields == (("authgw.provider", "company"),)
    assert scene.counters.trips == 0
    assert len(scene.provider.calls.made) == before


async def test_a_malformed_cookie_is_no_cookie(scene: ProviderScene) -> None:
    flow = await scene.start()
    found = await scene.callback(scene.answer(flow), "nonsense", "..", "a.b.c", flow.ticket)
    assert isinstance(found, FinishedLogin)


async def test_other_tokens_of_this_gateway_are_no_ticket(scene: ProviderScene) -> None:
    flow = await scene.start()
    other = scene.issuer.mint_ticket("company", TokenType.PENDING, TicketClaims("j", 9.0), now=NOW)
    assert cause_of(await scene.callback(scene.answer(flow), other)) == "flow_invalid/flow_cookie"


async def test_a_used_response_offers_to_start_again(scene: ProviderScene) -> None:
    flow = await scene.start(rd=RD)
    pairs = scene.answer(flow)
    assert isinstance(await scene.callback(pairs, flow.ticket), FinishedLogin)
    made = len(scene.provider.calls.made)
    found = await scene.callback(pairs, flow.ticket)
    assert cause_of(found) == "flow_invalid/flow_spent"
    assert isinstance(found, RefusedLogin)
    assert found.flow is not None
    assert found.flow.rd == RD
    assert len(scene.provider.calls.made) == made


async def test_of_two_callbacks_at_once_one_is_accepted(scene: ProviderScene) -> None:
    flow = await scene.start()
    pairs = scene.answer(flow)
    found = await asyncio.gather(*(scene.callback(pairs, flow.ticket) for _ in range(5)))
    assert sum(isinstance(each, FinishedLogin) for each in found) == 1


async def test_an_expired_flow_offers_to_start_again(scene: ProviderScene) -> None:
    flow = await scene.start(rd=RD)
    pairs = scene.answer(flow)
    scene.now += 606
    found = await scene.callback(pairs, flow.ticket)
    assert cause_of(found) == "flow_invalid/flow_expired"
    assert isinstance(found, RefusedLogin)
    assert found.flow is not None
    assert found.flow.rd == RD
    assert scene.counters.trips == 0


async def test_a_response_belongs_to_its_provider_and_login_site(scene: ProviderScene) -> None:
    flow = await scene.start()
    pairs = scene.answer(flow)
    found = await scene.callback(pairs, flow.ticket, name="other")
    assert cause_of(found) == "flow_invalid/flow_site"
    found = await scene.callback(pairs, flow.ticket, site=OTHER_SITE)
    assert cause_of(found) == "flow_invalid/flow_site"
    assert scene.counters.trips == 0


# --- T61: swapped codes ---


async def test_codes_of_two_flows_cannot_be_swapped(scene: ProviderScene) -> None:
    mine, attackers = await scene.start(), await scene.start()
    pairs = scene.answer(mine)
    scene.answer(attackers)  # the code leads to the attacker's ID token
    assert cause_of(await scene.callback(pairs, mine.ticket)) == "flow_invalid/provider_nonce"


# --- T62: another provider's response ---


@pytest.mark.parametrize(
    ("promised", "iss", "cause"),
    [
        (True, ISSUER, ""),
        (False, None, ""),
        (False, ISSUER, ""),
        (True, None, "flow_invalid/flow_iss"),
        (True, f"{ISSUER}/", "flow_invalid/flow_iss"),
        (False, "https://evil.example.com", "flow_invalid/flow_iss"),
    ],
)
async def test_the_issuer_of_a_response_is_compared(
    scene: ProviderScene, promised: bool, iss: str | None, cause: str
) -> None:
    scene.provider.metadata["authorization_response_iss_parameter_supported"] = promised
    flow = await scene.start()
    pairs = [*scene.answer(flow), *([("iss", iss)] if iss else [])]
    found = await scene.callback(pairs, flow.ticket)
    assert (cause_of(found) if isinstance(found, RefusedLogin) else "") == cause
    token_calls = [url for url in scene.provider.calls.urls() if url.endswith("/token")]
    assert len(token_calls) == (0 if cause else 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda pairs: [*pairs, ("error", "access_denied")],
        lambda pairs: [*pairs, ("code", "C2")],
        lambda pairs: [*pairs, *pairs],
        lambda pairs: pairs[1:],
        lambda pairs: pairs[:1],
        lambda pairs: [("code", "x" * 2049), pairs[1]],
        lambda _: [],
    ],
)
async def test_a_response_has_one_code_and_one_state(scene: ProviderScene, change: Any) -> None:
    flow = await scene.start()
    found = await scene.callback(change(scene.answer(flow)), flow.ticket)
    assert cause_of(found).startswith("flow_invalid/flow_")
    assert scene.counters.trips == 0


# --- Errors of the provider ---


@pytest.mark.parametrize(
    ("error", "code", "part"),
    [
        ("access_denied", "provider_refused", "access_denied"),
        ("login_required", "provider_refused", "login_required"),
        ("invalid_scope", "provider_unavailable", "login.providers.company.scopes"),
    ],
)
async def test_an_error_of_the_provider_is_named_in_the_log_only(
    scene: ProviderScene, error: str, code: str, part: str
) -> None:
    flow = await scene.start(rd=RD)
    state = query_of(flow)["state"]
    pairs = [("error", error), ("error_description", "<b>call 0900</b>"), ("state", state)]
    found = await scene.callback(pairs, flow.ticket)
    assert isinstance(found, RefusedLogin)
    assert found.error.code == code
    assert part in found.error.note
    assert "0900" not in f"{found.error.detail}{found.error.note}"
    assert found.flow is not None
    assert cause_of(await scene.callback(pairs, flow.ticket)) == "flow_invalid/flow_spent"


async def test_a_code_that_is_not_accepted_is_another_login(scene: ProviderScene) -> None:
    scene.provider.reply("/token", as_json({"error": "invalid_grant"}, 400))
    assert cause_of(await scene.log_in()) == "flow_invalid/provider_grant"


async def test_a_provider_that_is_away_is_named(scene: ProviderScene) -> None:
    scene.provider.reply("/token", ProviderUnavailableError(note="is away"))
    assert cause_of(await scene.log_in()) == "provider_unavailable/"
    scene = ProviderScene()
    scene.provider.reply("/.well-known/openid-configuration", ProviderUnavailableError())
    with pytest.raises(ProviderUnavailableError):
        await scene.start()


async def test_a_response_without_an_id_token_names_the_scope(scene: ProviderScene) -> None:
    flow = await scene.start()
    pairs = scene.answer(flow)
    del scene.provider.tokens["id_token"]
    found = await scene.callback(pairs, flow.ticket)
    assert isinstance(found, RefusedLogin)
    assert "add openid to login.providers.company.scopes" in found.error.note


async def test_new_keys_of_the_provider_are_fetched_once(scene: ProviderScene) -> None:
    await scene.logged_in()
    scene.provider.rotate("k2")
    await scene.logged_in()
    assert scene.provider.calls.urls().count(f"{ISSUER}/keys") == 2
    scene.provider.kid = "k3"
    scene.provider.reply("/keys", as_json({"keys": [FakeProvider().jwk()]}))
    assert cause_of(await scene.log_in()) == "flow_invalid/provider_key_unknown"
    assert scene.provider.calls.urls().count(f"{ISSUER}/keys") == 2


async def test_without_the_store_no_response_is_accepted(scene: ProviderScene) -> None:
    flow = await scene.start()
    pairs = scene.answer(flow)
    scene.counters.down = True
    with pytest.raises(StoreUnavailableError):
        await scene.callback(pairs, flow.ticket)


async def test_callbacks_of_an_address_have_a_budget(scene: ProviderScene) -> None:
    # An office has a single address: logins that succeed do not count.
    for _ in range(2 * PER_CALLBACK.max_failures):
        await scene.logged_in()
    for _ in range(PER_CALLBACK.max_failures):
        await scene.log_in(aud="another")
    trips, made = scene.counters.trips, len(scene.provider.calls.made)
    found = await scene.log_in()
    assert cause_of(found) == "too_many_failures/throttled_address"
    assert isinstance(found, RefusedLogin)
    assert found.error.retry_after == PER_CALLBACK.window
    assert (scene.counters.trips, len(scene.provider.calls.made)) == (trips, made)
    flow = await scene.start()
    found = await scene.callback(scene.answer(flow), flow.ticket, address="198.51.100.1")
    assert isinstance(found, FinishedLogin)


@pytest.mark.parametrize(
    ("supported", "sent"),
    [
        ([], "select_account"),
        (["none", "login"], "login"),
        (["none"], None),
        (["select_account", "login"], "select_account"),
    ],
)
async def test_a_prompt_is_one_that_the_provider_supports(
    scene: ProviderScene, supported: list[str], sent: str | None
) -> None:
    scene.provider.metadata["prompt_values_supported"] = supported
    flow = await scene.start(prompt="select_account")
    assert query_of(flow).get("prompt") == sent


@pytest.mark.parametrize(
    ("prompt", "purpose", "cause"),
    [
        ("select_account", "login", "flow_invalid/flow_prompt"),
        ("", "login", "provider_unavailable/provider_error"),
        ("select_account", "link", "provider_unavailable/provider_error"),
    ],
)
async def test_a_prompt_that_the_provider_does_not_know_is_left_out(
    scene: ProviderScene, prompt: str, purpose: Any, cause: str
) -> None:
    flow = await scene.start(prompt=prompt, purpose=purpose)
    pairs = [("error", "invalid_request"), ("state", query_of(flow)["state"])]
    assert cause_of(await scene.callback(pairs, flow.ticket)) == cause


async def test_logins_are_counted_by_outcome(scene: ProviderScene) -> None:
    await scene.log_in()
    scene.users.blocked = frozenset({("oidc:company", "u1")})
    await scene.log_in()
    await scene.callback([])
    scene.provider.reply("/token", ProviderUnavailableError())
    await scene.log_in()
    (measured,) = scene.logins._counts.collect()
    outcomes = ("ok", "refused", "invalid", "failed")
    assert measured.values == {("company", outcome): 1 for outcome in outcomes}
