"""Times at which sessions of identity providers are checked again, and at which they end."""

import math
from dataclasses import replace

import pytest

from authgw.core.errors import AuthgwError, RecheckRequiredError, SessionEndedError
from authgw.core.limits import BINDING_DELAY, RENEWAL_RETRY_AFTER
from authgw.core.providers.bounds import ProviderBounds
from authgw.core.providers.model import GITHUB_ISSUER, Accept, Provider
from authgw.core.sessions import Session
from authgw.core.users import USERS
from tests.support.builders import NOW, a_session
from tests.support.directories import Directory

ISSUER = "https://idp.test"
COMPANY = Provider("company", "oidc", ISSUER, "authgw", Accept(), refresh=900.0, stale=5000.0)
GITHUB = Provider("github", "github", GITHUB_ISSUER, "authgw", Accept(), session=3600.0)
BOUNDS = ProviderBounds({"company": COMPANY, "github": GITHUB})
SESSION = replace(
    a_session("company:7", None),
    source="oidc:company",
    issuer=ISSUER,
    account="7",
    checked_at=NOW,
    tried_at=NOW,
    sealed="x",
)
OF_GITHUB = replace(SESSION, source="oidc:github", issuer=GITHUB_ISSUER, sealed="")
LINKED = replace(SESSION, sub="alice", source=USERS)


@pytest.mark.parametrize("source", [USERS, "client:shop", "open"])
@pytest.mark.parametrize("bounds", [BOUNDS, ProviderBounds({})])
def test_a_session_without_a_provider_has_no_bound(source: str, bounds: ProviderBounds) -> None:
    session = replace(a_session(), source=source)
    assert bounds.until(session, NOW + 1e9) == math.inf
    assert not bounds.is_due(session, NOW + 1e9)
    assert bounds.source_of(session) == ""


@pytest.mark.parametrize(
    "session",
    [
        replace(SESSION, issuer=""),
        replace(SESSION, issuer="https://other.test"),
        replace(SESSION, issuer=GITHUB_ISSUER),
        replace(SESSION, source="oidc:gone"),
        replace(SESSION, source="oidc:"),
        replace(LINKED, issuer="https://other.test"),
    ],
)
def test_a_session_of_another_provider_or_issuer_has_ended(session: Session) -> None:
    with pytest.raises(SessionEndedError):
        BOUNDS.until(session, NOW)
    with pytest.raises(SessionEndedError):
        BOUNDS.is_due(session, NOW)


@pytest.mark.parametrize("session", [SESSION, LINKED])
def test_the_source_of_an_account_does_not_depend_on_a_link(session: Session) -> None:
    assert BOUNDS.source_of(session) == "oidc:company"


@pytest.mark.parametrize(
    "session",
    [
        OF_GITHUB,
        replace(OF_GITHUB, sub="alice", source=USERS),
        # No interval is configured, so its refresh token is of no use.
        replace(OF_GITHUB, sealed="x"),
    ],
)
def test_a_session_that_cannot_be_checked_ends_by_its_age(session: Session) -> None:
    end = session.created_at + 3600.0
    assert BOUNDS.until(session, end - 1) == end
    assert not BOUNDS.is_due(session, end - 1)
    with pytest.raises(SessionEndedError):
        BOUNDS.until(session, end)


@pytest.mark.parametrize(
    ("checked", "tried", "now", "until"),
    [
        # Before it is due: until then.
        (0.0, 0.0, 0.0, 900.0),
        (0.0, 0.0, 899.0, 900.0),
        # Due: soon again, but never later than the bound that follows.
        (0.0, 0.0, 900.0, 900.0 + RENEWAL_RETRY_AFTER),
        (0.0, 0.0, 1790.0, 1800.0),
        # The provider is away: attempts postpone the recheck, not the end.
        (0.0, 1700.0, 2000.0, 2600.0),
        (0.0, 4800.0, 4900.0, 5000.0),
        # A success postpones both.
        (1700.0, 1700.0, 2000.0, 2600.0),
        # A record whose last attempt was dropped.
        (1700.0, 0.0, 2000.0, 2000.0 + RENEWAL_RETRY_AFTER),
    ],
)
def test_the_time_of_the_next_complete_check(
    checked: float, tried: float, now: float, until: float
) -> None:
    for session in (SESSION, LINKED):
        session = replace(session, checked_at=NOW + checked, tried_at=NOW + tried)
        assert BOUNDS.until(session, NOW + now) == NOW + until
        assert BOUNDS.is_due(session, NOW + now) is (now >= tried + 900.0)


@pytest.mark.parametrize(
    ("checked", "tried", "now", "error"),
    [
        (0.0, 0.0, 1800.0, RecheckRequiredError),
        (0.0, 0.0, 4999.0, RecheckRequiredError),
        (0.0, 3000.0, 4800.0, RecheckRequiredError),
        # The end precedes the recheck: a login at the provider must follow.
        (0.0, 0.0, 5000.0, SessionEndedError),
        (0.0, 4990.0, 5000.0, SessionEndedError),
        # Absent fields have the strictest meaning.
        (-NOW, -NOW, 0.0, SessionEndedError),
        (-NOW, 0.0, 0.0, SessionEndedError),
    ],
)
def test_a_session_that_was_not_confirmed_in_time(
    checked: float, tried: float, now: float, error: type[AuthgwError]
) -> None:
    session = replace(SESSION, checked_at=NOW + checked, tried_at=NOW + tried)
    with pytest.raises(error):
        BOUNDS.until(session, NOW + now)


BY_EMAIL = replace(COMPANY, subject="email", accept=Accept(everyone=True))
OWN = (ISSUER, "7")


@pytest.mark.parametrize(
    ("provider", "bindings"),
    [
        (BY_EMAIL, {}),
        (BY_EMAIL, {"company:7": (ISSUER, "8")}),
        # The account has another name now.
        (BY_EMAIL, {"company:8": OWN}),
        # Bindings are the only accounts of `accept: linked`.
        (COMPANY, {}),
    ],
)
def test_a_session_whose_binding_was_released_has_ended(
    provider: Provider, bindings: dict[str, tuple[str, str]]
) -> None:
    """A new session has the time in which replicas read the bindings."""
    bounds, users = ProviderBounds({"company": provider}), Directory(bindings=bindings)
    end = SESSION.created_at + BINDING_DELAY
    assert bounds.name_until(SESSION, users, end - 1) == end
    with pytest.raises(SessionEndedError):
        bounds.name_until(SESSION, users, end)


@pytest.mark.parametrize(
    ("session", "provider", "bindings"),
    [
        (SESSION, BY_EMAIL, {"company:7": OWN}),
        (SESSION, COMPANY, {"company:a@example.com": OWN}),
        (SESSION, replace(COMPANY, accept=Accept(domains=frozenset({"a.com"}))), {}),
        (LINKED, BY_EMAIL, {}),
        (a_session(), BY_EMAIL, {}),
        # `until` ends it.
        (replace(SESSION, issuer="https://other.test"), BY_EMAIL, {}),
    ],
)
def test_a_name_that_is_bound_or_needs_no_binding(
    session: Session, provider: Provider, bindings: dict[str, tuple[str, str]]
) -> None:
    bounds = ProviderBounds({"company": provider})
    assert bounds.name_until(session, Directory(bindings=bindings), NOW + 1e9) == math.inf
