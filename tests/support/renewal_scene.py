"""A session of an account at a provider without a network, and replicas that check it again."""

from dataclasses import replace
from secrets import token_bytes
from typing import Any

from authgw.core.audit import Event
from authgw.core.keys import KeyRing
from authgw.core.sealing import Sealer
from authgw.core.session_codec import dump, load
from authgw.core.sessions import Session
from authgw.services.providers.renewals import Renewals
from authgw.services.providers.secrets import ProviderSecret, seal
from tests.support.builders import KEY, NOW, a_session
from tests.support.fake_provider import ISSUER, PROVIDER
from tests.support.memory_store import MemoryStore
from tests.support.provider_scene import ProviderScene

SEALER = Sealer(KeyRing((KEY,), max_lifetime=3600.0), "authgw", random=token_bytes)


class RenewalScene:
    """A session with the refresh token R1, which was checked an hour ago."""

    def __init__(self) -> None:
        groups = replace(PROVIDER.groups, prefix="kc:")
        self.scene = ProviderScene().configure(refresh=900.0, groups=groups)
        self.provider = self.scene.provider
        self.store = MemoryStore()
        self.store.now = NOW
        self.events: list[Event] = []
        self.renewals = self.replica()
        session = replace(
            a_session("company:u1"),
            source="oidc:company",
            issuer=ISSUER,
            account="u1",
            groups=("kc:dev", "kc:ops"),
            amr=("pwd",),
            auth_time=NOW - 7200,
            checked_at=NOW - 3600,
            tried_at=NOW - 3600,
            groups_from="id_token",
        )
        self.put(replace(session, sealed=seal(SEALER, ProviderSecret("R1"), session.sid, NOW)))
        self.answer(groups=["dev"])

    def replica(self, sealer: Sealer = SEALER) -> Renewals:
        return Renewals(
            [self.scene.connected],
            self.store,
            self.scene.counters,
            sealer,
            self.scene.users,
            record=self.events.append,
            clock=self.scene.clock,
        )

    def put(self, session: Session) -> None:
        self.sid = session.sid
        self.store.records[session.sid] = dump(session)

    def answer(self, *, replaced: bool = True, **claims: Any) -> None:
        self.provider.tokens = {"id_token": self.provider.id_token(None, **claims)}
        if replaced:
            self.provider.tokens["refresh_token"] = "R2"

    @property
    def session(self) -> Session:
        return load(self.store.records[self.sid])

    @property
    def has_ended(self) -> bool:
        return self.sid not in self.store.records

    async def renew(self) -> None:
        self.renewals.schedule(self.store.snapshot(self.sid))
        await self.renewals.settle()

    def presented(self) -> list[str]:
        return [
            call.fields["refresh_token"]
            for call in self.provider.calls.made
            if "refresh_token" in call.fields
        ]

    def outcomes(self) -> dict[tuple[str, ...], float]:
        (measured,) = self.renewals._counts.collect()
        return dict(measured.values)
