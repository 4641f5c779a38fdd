"""Sessions on a store in memory, with a shared clock."""

from typing import Any

from authgw.core.errors import SessionEndedError
from authgw.services.results import LoginRequest, TokenPair
from authgw.services.sessions import Sessions
from tests.support.builders import LIVES, NOW, an_issuer
from tests.support.memory_store import MemoryStore

SHOP = LoginRequest(
    "1", "client:shop", user_id=1, groups=("users",), email="a@example.com", name="A"
)


class SessionWorld:
    """A gateway, its store and the clock of both."""

    def __init__(
        self, max_sessions: int = 100, store: MemoryStore | None = None, **options: Any
    ) -> None:
        self.store = store or MemoryStore()
        self.now = NOW
        self.wait(0)
        self.gateway = Sessions(
            self.store,
            an_issuer(),
            LIVES,
            idle=3600,
            max_sessions=max_sessions,
            clock=lambda: self.now,
            **options,
        )

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.store.now = self.now

    async def alive(self, pair: TokenPair) -> bool:
        try:
            await self.gateway.identification.identify(pair.access)
        except SessionEndedError:
            return False
        await self.gateway.settle()
        return True
