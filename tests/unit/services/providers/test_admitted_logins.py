"""Logins at a provider after its response: admission, names, factors, tokens and purposes."""

from dataclasses import replace

import pytest

from authgw.core.providers.model import Accept, FactorClaims
from authgw.services.providers.results import FinishedLink, RefusedLogin
from authgw.services.providers.secrets import ProviderSecret
from tests.support.builders import NOW, a_session
from tests.support.fake_provider import ISSUER
from tests.support.provider_scene import (
    ProviderScene,
    a_user,
    cause_of,
)


@pytest.fixture
def scene() -> ProviderScene:
    return ProviderScene()


async def test_accounts_that_accept_does_not_admit_are_refused(scene: ProviderScene) -> None:
    scene.configure(accept=Accept())
    found = await scene.log_in()
    assert cause_of(found) == "provider_refused/account_not_accepted"
    # The operator needs the account to link it.
    assert isinstance(found, RefusedLogin)
    named = (("authgw.provider", "company"), ("authgw.account", "u1"))
    assert found.error.log_fields == named


async def test_a_linked_account_is_its_user(scene: ProviderScene) -> None:
    scene.configure(accept=Accept())
    scene.users.users["alice"] = user = a_user()
    scene.users.links[ISSUER, "u1"] = "alice"
    login = (await scene.logged_in(groups=["admins"])).login
    assert (login.sub, login.source, login.groups) == ("alice", "users", ("staff",))
    assert login.password_mark in user.link_marks
    assert (login.issuer, login.account) == (ISSUER, "u1")


async def test_a_name_is_bound_to_the_first_account(scene: ProviderScene) -> None:
    scene.configure(subject="preferred_username", binds_first=True)
    assert (await scene.logged_in(preferred_username="bob")).login.sub == "company:bob"
    assert scene.users.names == {"company:bob": (ISSUER, "u1")}
    found = await scene.log_in(preferred_username="bob", sub="u2")
    assert cause_of(found) == "provider_refused/name_bound"
    assert (await scene.logged_in(preferred_username="rob")).login.sub == "company:bob"


async def test_of_two_accounts_that_log_in_at_once_the_first_gets_the_name(
    scene: ProviderScene,
) -> None:
    scene.configure(subject="preferred_username", binds_first=True)
    flow = await scene.start()
    pairs = scene.answer(flow, preferred_username="bob")
    # The directory of this replica does not have the binding yet that another replica made.
    scene.users.names["company:bob"] = (ISSUER, "u2")
    scene.users.binding = lambda name: None  # type: ignore[method-assign]  # a fault
    found = await scene.callback(pairs, flow.ticket)
    assert cause_of(found) == "provider_refused/name_bound"


async def test_a_second_factor_of_the_provider_counts_if_it_is_configured(
    scene: ProviderScene,
) -> None:
    found = await scene.logged_in(amr=["pwd", "mfa"], auth_time=int(NOW) - 5)
    assert found.login.factor_time == NOW - 5
    scene.configure(second_factor=FactorClaims(frozenset({"otp"})))
    assert (await scene.logged_in(amr=["pwd", "mfa"])).login.factor_time == 0.0


async def test_a_user_with_a_second_factor_needs_a_code(scene: ProviderScene) -> None:
    scene.users.users["alice"] = a_user(has_totp=True)
    scene.users.links[ISSUER, "u1"] = "alice"
    assert (await scene.logged_in()).needs_code
    assert not (await scene.logged_in(amr=["mfa"])).needs_code
    entry = replace(a_user("company:u2", has_totp=True), source="oidc:company", account="u2")
    scene.users.users["company:u2"] = entry
    assert (await scene.logged_in(sub="u2")).needs_code
    assert not (await scene.logged_in(sub="u3")).needs_code


async def test_a_session_that_is_checked_again_keeps_its_refresh_token(
    scene: ProviderScene,
) -> None:
    scene.configure(refresh=900.0)
    found = await scene.log_in()
    assert cause_of(found) == "provider_unavailable/provider_refresh"
    assert isinstance(found, RefusedLogin)
    assert found.error.note.startswith("login.providers.company.refresh: ")
    scene.provider.tokens["refresh_token"] = "a refresh token"
    logged_in = await scene.logged_in()
    assert logged_in.secret == ProviderSecret("a refresh token")
    assert logged_in.login.ends_at is None
    assert "a refresh token" not in repr(logged_in)


async def test_tokens_that_no_session_needs_are_thrown_away(scene: ProviderScene) -> None:
    scene.provider.tokens["refresh_token"] = "R1"
    assert (await scene.logged_in()).secret == ProviderSecret()
    scene.configure(sends_hint=True)
    found = await scene.logged_in()
    assert found.secret == ProviderSecret(id_token=scene.provider.tokens["id_token"])


async def test_a_future_auth_time_within_the_skew_is_now(scene: ProviderScene) -> None:
    assert (await scene.logged_in(auth_time=int(NOW) + 30)).login.auth_time == NOW
    assert (await scene.logged_in()).login.auth_time == NOW


async def test_a_recheck_is_of_the_account_that_asked(scene: ProviderScene) -> None:
    session = replace(a_session(), account="u1")
    for account, cause in (("u1", ""), ("u2", "flow_invalid/flow_account")):
        flow = await scene.start(purpose="recheck", asking=session)
        found = await scene.callback(scene.answer(flow, sub=account), flow.ticket)
        assert (cause_of(found) if isinstance(found, RefusedLogin) else "") == cause
        assert isinstance(found, RefusedLogin) or found.flow.sid == session.sid


async def test_a_link_is_no_login(scene: ProviderScene) -> None:
    scene.configure(accept=Accept(), subject="email")
    session = a_session()
    flow = await scene.start(purpose="link", asking=session)
    found = await scene.callback(scene.answer(flow), flow.ticket)
    assert isinstance(found, FinishedLink)
    assert (found.claims.account, found.flow.sid) == ("u1", session.sid)


async def test_an_account_that_is_linked_or_bound_elsewhere_cannot_be_linked(
    scene: ProviderScene,
) -> None:
    scene.users.users["alice"] = a_user()
    scene.users.links[ISSUER, "u1"] = "alice"
    scene.users.names["company:bob"] = (ISSUER, "u2")
    for account in ("u1", "u2"):
        flow = await scene.start(purpose="link", asking=a_session())
        found = await scene.callback(scene.answer(flow, sub=account), flow.ticket)
        assert cause_of(found) == "provider_refused/account_taken"
