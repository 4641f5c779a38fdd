"""Log out at the identity provider after the session here has ended (RP-Initiated Logout 1.0)."""

import asyncio
from collections.abc import Iterable
from urllib.parse import urlencode, urlsplit

from authgw.core.errors import AuthgwError, ProviderUnavailableError
from authgw.core.limits import MAX_RD_BYTES
from authgw.core.login_sites import LoginSite
from authgw.core.providers.model import LOGGED_OUT_STATE
from authgw.core.sealing import SealBrokenError, Sealer
from authgw.core.sessions import Session
from authgw.services.providers.connected import ConnectedProvider
from authgw.services.providers.secrets import ProviderSecret, unseal


class ProviderLogouts:
    """Logouts at these providers; `sealer` opens the secrets of sessions."""

    def __init__(self, connected: Iterable[ConnectedProvider], sealer: Sealer) -> None:
        self._by_issuer = {each.provider.issuer: each for each in connected}
        self._sealer = sealer
        self._revoking: set[asyncio.Task[None]] = set()

    async def after(self, session: Session, site: LoginSite) -> str:
        """Return the URL to send the browser to after this session has ended, "" for none.

        The refresh token of the session is revoked in the background, at best. The provider sends
        the browser back to the login page of `site`, an address that is registered there.
        """
        connected = self._by_issuer.get(session.issuer)
        if connected is None:
            return ""
        try:
            secret = unseal(self._sealer, session)
        except SealBrokenError:
            secret = ProviderSecret()
        if secret.refresh_token:
            self._revoke_later(connected, secret.refresh_token)
        if not connected.provider.logs_out:
            return ""
        try:
            endpoint = (await connected.metadata()).end_session_endpoint
        except ProviderUnavailableError:
            return ""
        return _url(endpoint, connected, site, secret.id_token) if endpoint else ""

    async def settle(self) -> None:
        """Wait for the revocations in the background."""
        await asyncio.gather(*self._revoking)

    def _revoke_later(self, connected: ConnectedProvider, refresh_token: str) -> None:
        task = asyncio.create_task(_revoke(connected, refresh_token))
        self._revoking.add(task)
        task.add_done_callback(self._revoking.discard)


async def _revoke(connected: ConnectedProvider, refresh_token: str) -> None:
    try:
        await connected.tokens.revoke(await connected.metadata(), refresh_token)
    except AuthgwError:
        # The session here has ended; the token expires at the provider.
        return


def _url(endpoint: str, connected: ConnectedProvider, site: LoginSite, id_token: str) -> str:
    parameters = {
        "client_id": connected.provider.client_id,
        "post_logout_redirect_uri": f"{site.origin}{site.base}",
        "state": LOGGED_OUT_STATE,
    }
    # A token has names and groups, which a URL shows to logs and histories.
    if connected.provider.sends_hint and 0 < len(id_token) <= MAX_RD_BYTES:
        parameters["id_token_hint"] = id_token
    parts = urlsplit(endpoint)
    query = "&".join(filter(None, (parts.query, urlencode(parameters))))
    return parts._replace(query=query, fragment="").geturl()
