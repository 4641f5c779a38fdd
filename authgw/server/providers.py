"""Identity providers of a replica: their connections, and the parts that log users in there.

`app` imports this module with the first provider only.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

from authgw.core.audit import AuditRecorder
from authgw.core.budget import AddressBudget
from authgw.core.limits import PER_CALLBACK
from authgw.core.measurements import Labels, Measurement
from authgw.core.networks import TrustedProxies
from authgw.core.ports import MirroringStore
from authgw.core.providers.bounds import ProviderBounds
from authgw.core.providers.model import Provider
from authgw.core.sealing import SealBrokenError, Sealer
from authgw.core.sessions import Session
from authgw.core.tokens import Issuer
from authgw.observability.instrumentation import MeasuredStore
from authgw.server.outgoing import OneProviderCalls, OutgoingClient
from authgw.server.reload import ReloadableState
from authgw.services.login import LoginService
from authgw.services.providers.backchannel import BackchannelLogouts
from authgw.services.providers.connected import ConnectedProvider
from authgw.services.providers.documents import ProviderDocuments
from authgw.services.providers.files import FileBindings, FileLinks
from authgw.services.providers.index import ProviderSessionIndex
from authgw.services.providers.login import LoginCounts, ProviderLogins
from authgw.services.providers.logout import ProviderLogouts
from authgw.services.providers.pending import PendingProviderLogins
from authgw.services.providers.renewals import RenewalCounts, Renewals
from authgw.services.providers.secrets import seal_text, unseal
from authgw.web.provider_parts import ProviderParts


@dataclass(frozen=True, slots=True)
class _Connection:
    """The calls and the documents of a provider."""

    calls: OneProviderCalls
    documents: ProviderDocuments


class ProviderNetwork:
    """Connections, documents and counts, which a reload leaves in place.

    `clock` returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.client = OutgoingClient()
        self.logins = LoginCounts()
        self.renewals = RenewalCounts()
        self.budget = AddressBudget(PER_CALLBACK, monotonic)
        self._connections: dict[str, _Connection] = {}

    def connected(self, state: ReloadableState) -> dict[str, ConnectedProvider]:
        """Return the providers of this state by name, each with its connection."""
        return {
            name: self._connected(provider, state) for name, provider in state.providers.items()
        }

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        yield from self.client.counts.collect()
        yield from self.logins.collect()
        yield from self.renewals.collect()
        fetched: dict[Labels, float] = {
            (name, *labels): time
            for name, connection in list(self._connections.items())
            for labels, time in connection.documents.fetched()
        }
        yield Measurement(
            "gauge",
            "authgw_provider_fetched_timestamp_seconds",
            "Time of the last successful fetch of a document of an identity provider: metadata or "
            "keys",
            ("provider", "document"),
            fetched,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self.client.close()

    def _connected(self, provider: Provider, state: ReloadableState) -> ConnectedProvider:
        connection = self._connections.get(provider.name)
        if connection is None:
            # Its settings need a restart to change, so that all states have the same connection.
            ca_file = state.loaded.settings.login.providers[provider.name].ca_file
            path = None if ca_file is None else state.loaded.path(ca_file)
            calls = self.client.calls_of(provider.name, path)
            documents = ProviderDocuments(provider.issuer, calls, clock=self.clock)
            connection = self._connections[provider.name] = _Connection(calls, documents)
        return ConnectedProvider(provider, connection.calls, connection.documents, clock=self.clock)


class ProviderServices:
    """The parts of a state of the files for its providers.

    Sessions need `bounds`, `on_due`, `reseal` and `index`; `parts` are those of the handlers.
    """

    def __init__(
        self,
        network: ProviderNetwork,
        state: ReloadableState,
        store: MirroringStore,
        measured_store: MeasuredStore,
        issuer: Issuer,
        service: LoginService,
        record: AuditRecorder,
    ) -> None:
        settings, clock, users = state.loaded.settings, network.clock, state.users
        auth, login = settings.auth, settings.login
        connected = network.connected(state)
        self._sealer = Sealer(
            state.keys, auth.issuer, auth.previous_issuers, random=secrets.token_bytes
        )
        self._clock = clock
        self._renewals = Renewals(
            connected.values(),
            store,
            measured_store,
            self._sealer,
            users,
            record=record,
            clock=clock,
            counts=network.renewals,
        )
        self._logouts = ProviderLogouts(connected.values(), self._sealer)
        self.bounds = ProviderBounds(state.providers)
        self.on_due = self._renewals.schedule
        self.index = ProviderSessionIndex(measured_store, auth.session_max)
        self.parts = ProviderParts(
            logins=ProviderLogins(
                connected,
                issuer,
                users,
                measured_store,
                FileBindings(users),
                budget=network.budget,
                requires_code=service.requires_second_factor,
                clock=clock,
                counts=network.logins,
            ),
            pending=PendingProviderLogins(
                measured_store, self._sealer, issuer, users.find, clock=clock
            ),
            seal=self._seal,
            recheck=self._renewals.check,
            end_session_url=self._logouts.after,
            report=BackchannelLogouts(connected, store, measured_store, clock=clock).end,
            links=FileLinks(users),
            settle=self._settle,
            is_self_service="link" in login.self_service,
            icons=state.icons,
            reporters={
                name: TrustedProxies.parse(each.backchannel_from)
                for name, each in login.providers.items()
                if each.backchannel_from
            },
            is_automatic=login.auto,
        )

    def reseal(self, session: Session, sid: str) -> str:
        """Return the secret of a session, encrypted for another sid.

        A secret that cannot be opened stays as it is: the session ends by `stale`, as before.
        """
        try:
            secret = unseal(self._sealer, session)
        except SealBrokenError:
            return session.sealed
        return self._seal(secret.encode(), sid)

    def _seal(self, secret: str, sid: str) -> str:
        return seal_text(self._sealer, secret, sid, self._clock())

    async def _settle(self) -> None:
        await self._renewals.settle()
        await self._logouts.settle()
