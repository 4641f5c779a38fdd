"""End sessions when their identity provider reports a logout (Back-Channel Logout 1.0)."""

from collections.abc import Callable, Mapping

from authgw.core.errors import LogoutTokenInvalidError
from authgw.core.ports import SessionStore
from authgw.core.providers.jwks import ProviderKeys
from authgw.core.providers.logout_token import (
    LogoutKeyUnknownError,
    LogoutNotice,
    verify_logout_token,
)
from authgw.core.providers.model import Provider
from authgw.core.providers.session_index import (
    GONE_LIFETIME,
    account_gone,
    account_sessions,
    gone_text,
    idp_session_gone,
    idp_sessions,
    is_meant,
)
from authgw.core.records import Records
from authgw.core.sessions import Session
from authgw.services.providers.connected import ConnectedProvider


class BackchannelLogouts:
    """Logouts that the providers report, by name; `clock` returns Unix seconds."""

    def __init__(
        self,
        connected: Mapping[str, ConnectedProvider],
        store: SessionStore,
        records: Records,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._connected = connected
        self._store = store
        self._records = records
        self._clock = clock

    async def end(self, name: str, logout_token: str) -> tuple[Session, ...]:
        """End the sessions that a logout token of the provider `name` means, and return them.

        A token can be sent again: it ends sessions of logins before its time only.

        Raises:
            LogoutTokenInvalidError: the token is not valid.
            ProviderUnavailableError: the keys of the provider are not available.
            StoreUnavailableError: some of the sessions may still be active; the provider has to
                send the token again.
        """
        connected = self._connected[name]
        if connected.provider.kind != "oidc":
            raise LogoutTokenInvalidError(cause="provider_type")
        notice = await self._notice(connected, logout_token)
        # First: a login at the same time reads this after it has stored its session.
        await self._record(connected.provider, notice)
        found = [
            await self._ended(connected.provider, notice, sid)
            for sid in await self._sids(connected.provider, notice)
        ]
        return tuple(session for session in found if session is not None)

    async def _notice(self, connected: ConnectedProvider, text: str) -> LogoutNotice:
        keys = await connected.documents.keys()
        try:
            return self._verified(connected.provider, text, keys)
        except LogoutKeyUnknownError:
            newer = await connected.documents.keys_after(keys)
            return self._verified(connected.provider, text, newer)

    def _verified(self, provider: Provider, text: str, keys: ProviderKeys) -> LogoutNotice:
        return verify_logout_token(text, provider=provider, keys=keys, now=self._clock())

    async def _record(self, provider: Provider, notice: LogoutNotice) -> None:
        name = (
            idp_session_gone(provider.issuer, notice.idp_sid)
            if notice.idp_sid
            else account_gone(provider.issuer, notice.account or "")
        )
        before = await self._records.get(name)
        await self._records.put(name, gone_text(notice.issued_at, before), GONE_LIFETIME)

    async def _sids(self, provider: Provider, notice: LogoutNotice) -> tuple[str, ...]:
        """Return the sids of all sessions that could be meant."""
        names = []
        if notice.idp_sid:
            names.append(idp_sessions(provider.issuer, notice.idp_sid))
        if notice.account is not None:
            names.append(account_sessions(provider.issuer, notice.account))
        found = [sid for name in names for sid in await self._records.members(name)]
        return tuple(dict.fromkeys(found))

    async def _ended(self, provider: Provider, notice: LogoutNotice, sid: str) -> Session | None:
        """End a session if the notice means it; return it if it was active."""
        session = (await self._store.read(sid)).session
        if session is None:
            # An unconfirmed call may have ended it: a success here confirms the revocation.
            await self._store.revoke(sid)
            return None
        latest = notice.issued_at + provider.skew
        is_ours = is_meant(session, provider.issuer, notice.account, notice.idp_sid, latest=latest)
        return session if is_ours and await self._store.revoke(sid) else None
