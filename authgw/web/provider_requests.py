"""Provider, sender and session of a request for a login at an identity provider."""

from aiohttp import web

from authgw.core.errors import (
    AuthgwError,
    CredentialsAmbiguousError,
    CrossSiteError,
    RecheckRequiredError,
    StoreUnavailableError,
)
from authgw.core.login_sites import LoginSite
from authgw.core.providers.model import Provider
from authgw.core.sessions import Session, of_subject
from authgw.dialects.headers import values
from authgw.services.results import Identity
from authgw.web.context import GATEWAY
from authgw.web.cookies import session_tokens
from authgw.web.forms import has_own_host
from authgw.web.provider_parts import ProviderParts


def parts_of(request: web.Request) -> ProviderParts:
    """Return the parts for identity providers.

    Raises:
        HTTPNotFound: no provider is configured.
    """
    parts = request[GATEWAY].login.providers
    if parts is None:
        raise web.HTTPNotFound
    return parts


def provider_of(request: web.Request) -> Provider:
    """Return the provider that the path names.

    Raises:
        HTTPNotFound: no provider has this name.
    """
    provider = parts_of(request).logins.providers.get(request.match_info["name"])
    if provider is None:
        raise web.HTTPNotFound
    return provider


def check_navigation(request: web.Request) -> None:
    """Refuse requests of scripts, frames and images, and those that a browser makes in advance.

    Fetch Metadata tells them apart; a browser without it is not refused. No browser navigates by
    HEAD, which programs send that look whether a link works.

    Raises:
        CrossSiteError: the request is not the navigation of a window.
    """
    headers = request.raw_headers
    modes, destinations = values(headers, "Sec-Fetch-Mode"), values(headers, "Sec-Fetch-Dest")
    purposes = b" ".join((*values(headers, "Sec-Purpose"), *values(headers, "Purpose")))
    if (
        request.method == "HEAD"
        or modes not in ([], [b"navigate"])
        or destinations not in ([], [b"document"])
        or b"prefetch" in purposes
    ):
        raise CrossSiteError(cause="not_navigation")


def is_from_our_page(request: web.Request, site: LoginSite) -> bool:
    """Return True if a page of ours led here: by Fetch Metadata, else by the Referer."""
    fetch_sites = values(request.raw_headers, "Sec-Fetch-Site")
    if fetch_sites:
        return fetch_sites == [b"same-origin"] and has_own_host(request, site)
    referers = values(request.raw_headers, "Referer")
    return len(referers) == 1 and referers[0].startswith(f"{site.origin}/".encode("ascii"))


async def stored_session(request: web.Request) -> tuple[Session, float] | None:
    """Return the session of the browser's only session cookie, and the time of the store's clock.

    It may have ended, or its provider may have to confirm it.

    Raises:
        StoreUnavailableError: the session cannot be read now.
    """
    identification = request[GATEWAY].services.identification
    tokens = identification.verified_cookies(session_tokens(request))
    if len(tokens) != 1:
        return None
    snapshot = (await identification.snapshots([tokens[0].sid]))[tokens[0].sid]
    session = of_subject(snapshot.session, tokens[0].sub)
    return None if session is None else (session, snapshot.now)


async def asking_user(request: web.Request) -> tuple[bool, Identity | None, str]:
    """Return True if the browser has an active session, its identity, and the user's name.

    The identity is None if the browser has several sessions, or if the provider of its session has
    to confirm it first.

    Raises:
        StoreUnavailableError: the session cannot be read now.
    """
    identification = request[GATEWAY].services.identification
    try:
        identity = await identification.identify(None, session_tokens(request))
    except StoreUnavailableError:
        raise
    except CredentialsAmbiguousError:
        return True, None, ""
    except RecheckRequiredError as error:
        return True, None, error.sub
    except AuthgwError:
        return False, None, ""
    return True, identity, identity.session.sub
