"""Accounts of identity providers that are linked to a user, as the account page lists them."""

from dataclasses import dataclass

from aiohttp import web

from authgw.core.limits import LINK_PROOF_AGE
from authgw.core.login_sites import LoginSite
from authgw.core.sessions import Session
from authgw.core.users import USERS
from authgw.services.results import Identity
from authgw.web.context import GATEWAY

_READ_ONLY = "They cannot be changed here, because the file of the users is read-only."


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """A provider, and whether an account there is linked to the user."""

    name: str
    label: str
    is_linked: bool


@dataclass(frozen=True, slots=True)
class LinkedAccounts:
    """The section of linked accounts.

    Without `can_change` it has no buttons, and `hint` says why. `log_in_again` is a path, empty
    unless a new login would permit a change.
    """

    accounts: tuple[ProviderAccount, ...] = ()
    can_change: bool = False
    hint: str = ""
    log_in_again: str = ""


def linked_accounts(request: web.Request, site: LoginSite, identity: Identity) -> LinkedAccounts:
    """Return the accounts to list: all providers for a user who may link them, else the linked."""
    parts, session = request[GATEWAY].login.providers, identity.session
    if parts is None or session.source != USERS:
        return LinkedAccounts()
    linked = parts.links.issuers_of(session.sub)
    accounts = tuple(
        ProviderAccount(name, provider.label or name, provider.issuer in linked)
        for name, provider in parts.logins.providers.items()
        if parts.is_self_service or provider.issuer in linked
    )
    if not parts.is_self_service:
        return LinkedAccounts(accounts)
    if not parts.links.is_writable:
        return LinkedAccounts(accounts, hint=_READ_ONLY)
    if not is_recent(request, session):
        minutes = int(LINK_PROOF_AGE // 60)
        return LinkedAccounts(
            accounts,
            hint=f"They can be changed within {minutes} minutes after a login.",
            log_in_again=f"{site.base}?switch=yes&rd={site.base}/account",
        )
    return LinkedAccounts(accounts, can_change=True)


def is_recent(request: web.Request, session: Session) -> bool:
    """Return True if the proofs of the login are recent enough for a change of links."""
    return request[GATEWAY].services.clock() - session.proved_at <= LINK_PROOF_AGE


def source_label(request: web.Request, session: Session) -> str:
    """Return the label of the provider whose account opened the session, else an empty text."""
    parts = request[GATEWAY].login.providers
    providers = parts.logins.providers.values() if parts and session.issuer else ()
    labels = (each.label or each.name for each in providers if each.issuer == session.issuer)
    return next(labels, "")


def new_link(request: web.Request, identity: Identity) -> str:
    """Return the message after an account was linked, else an empty text."""
    parts, name = request[GATEWAY].login.providers, request.query.get("linked", "")
    provider = parts.logins.providers.get(name) if parts else None
    if parts is None or provider is None:
        return ""
    is_linked = provider.issuer in parts.links.issuers_of(identity.session.sub)
    return f"Your account at {provider.label or name} is linked." if is_linked else ""
