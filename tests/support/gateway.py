"""The HTTP surface over a store in memory, spoken to by a real client on loopback."""

import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from aiohttp import ClientResponse, encode_basic_auth, web
from aiohttp.test_utils import TestClient, TestServer

from authgw.app import LINE_BYTES
from authgw.core.audit import Event
from authgw.core.login_sites import LoginSites
from authgw.core.model import IdentityHeaders
from authgw.core.networks import TrustedProxies
from authgw.core.rules import Rules
from authgw.identity import users_editor
from authgw.identity.clients_file import add_client, load_clients
from authgw.identity.hash_pool import HashPool
from authgw.identity.passwords import hash_password
from authgw.identity.totp import new_recovery_codes, new_secret, recovery_digest
from authgw.identity.users_watcher import UsersFile
from authgw.server.http_protocol import Connection, Connections
from authgw.services.login import LoginService, Policy
from authgw.services.sessions import Sessions
from authgw.storage.mirror import Mirror
from authgw.storage.sqlite.database import DEADLINE
from authgw.storage.sqlite.store import EmbeddedStore
from authgw.web.context import Gateway
from authgw.web.decision_cache import DecisionCache
from authgw.web.dispatcher import Dispatcher, shorten
from authgw.web.routes import application
from authgw.web.templating import PageRenderer, PageTheme
from tests.support.builders import KEY, LIVES, an_issuer

PASSWORD = "correct horse battery staple"
HASH = hash_password(PASSWORD)
SECRET = new_secret()
RECOVERY = new_recovery_codes()[0]
ORIGINAL = {
    "X-Original-URL": "https://app.example.com/a?b=c",
    "X-Original-Host": "app.example.com",
    "X-Original-Method": "GET",
}


@dataclass
class Surface:
    """A running gateway: its client, its parts, the events that it recorded."""

    client: TestClient[web.Request, web.Application]
    store: EmbeddedStore
    shop: dict[str, str]
    blog: dict[str, str]
    users: UsersFile
    events: list[Event]
    sessions: Sessions
    serving: Dispatcher

    @property
    def connections(self) -> list[Connection]:
        server = self.client.server
        assert isinstance(server, Listening)
        assert isinstance(server.runner, Running)
        assert server.runner.kept is not None
        return list(server.runner.kept._open)

    @property
    def shortcut(self) -> DecisionCache:
        assert self.serving.shortcut is not None
        return self.serving.shortcut

    async def post(self, path: str, json: Any = None, **options: Any) -> ClientResponse:
        return await self.client.post(path, json=json, **options)

    async def login(self, user_id: Any = 1, **more: Any) -> dict[str, Any]:
        answer = await self.post("/login", {"user_id": user_id, **more}, headers=self.shop)
        assert answer.status == 200, await answer.text()
        pair: dict[str, Any] = await answer.json()
        return pair

    async def check(self, access: str, **headers: str) -> ClientResponse:
        bearer = {"Authorization": f"Bearer {access}"}
        return await self.client.get("/authenticate", headers={**bearer, **headers})

    async def status(self, access: str) -> int:
        return (await self.check(access)).status


class Listening(TestServer):
    """A server of the gateway's own connections."""

    def __init__(self, serving: Dispatcher) -> None:
        super().__init__(application(serving))
        self._serving = serving

    async def _make_runner(self, **_: Any) -> web.AppRunner:
        return Running(self.app, self._serving)


class Running(web.AppRunner):
    """Runs an application as the gateway does."""

    kept: Connections | None = None

    def __init__(self, app: web.Application, serving: Dispatcher) -> None:
        super().__init__(app)
        self._serving = serving

    async def setup(self) -> None:
        await super().setup()
        server = self.server
        assert server is not None
        shorten(server, self._serving)
        sizes = {"max_line_size": LINE_BYTES, "max_field_size": LINE_BYTES}
        at_once, refuse = self._serving.at_once, self._serving.refuse
        self.kept = Connections(server, 1000, at_once, refuse, access_log=None, **sizes)

    @property
    def server(self) -> web.Server | None:
        """What makes connections, for who listens: ours do as aiohttp's do."""
        return super().server if self.kept is None else cast(web.Server, self.kept)


def people(folder: Path) -> UsersFile:
    """alice (writers, a second factor) and bob of these tests, with their password."""
    path = folder / f"{secrets.token_hex(4)}-users.yml"
    users_editor.add(
        path, "alice", HASH, groups=("writers",), email="a@example.com", name="Alice A"
    )
    users_editor.add(path, "bob", HASH)
    users_editor.add(path, "gone", HASH)
    users_editor.set_disabled(path, "gone", True)
    users_editor.set_totp(path, "alice", SECRET, [recovery_digest(RECOVERY)])
    return UsersFile(path)


def basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": encode_basic_auth(name, secret)}


async def surface(
    folder: Path,
    *,
    open_login: bool = False,
    trusted: tuple[str, ...] = ("127.0.0.1",),
    rules: Rules | None = None,
    direct_check: bool = False,
    sites: LoginSites | None = None,
    totp: Policy = "optional",
    docs: bool = False,
    record_allowed: bool = True,
    max_staleness: float = 1.0,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Surface]:
    users = people(folder)
    hashing = HashPool()
    sites = sites or LoginSites()
    file = folder / f"{secrets.token_hex(4)}.yml"
    shop = add_client(file, "shop", subjects="*", groups=("users", "team-*"))
    blog = add_client(file, "blog", subjects="b-*", groups=())
    store = await EmbeddedStore.open(None, idle=3600)
    events: list[Event] = []

    async def ready() -> str:
        return ""

    mirror = Mirror(store, max_staleness=max_staleness, deadline=DEADLINE, capacity=1000)
    sessions = Sessions(
        mirror, an_issuer(), LIVES, idle=3600, max_sessions=5, clock=clock, users=users
    )
    gateway = Gateway(
        sessions=sessions,
        marks=an_issuer().marks,
        clients=load_clients(file),
        counters=store,
        keys=an_issuer(KEY).keys,
        trusted=TrustedProxies.parse(trusted),
        identity=IdentityHeaders(),
        open_login=open_login,
        record=events.append,
        clock=time.time,
        ready=ready,
        check_keys=lambda: None,
        record_allowed=record_allowed,
        rules=rules,
        direct_check=direct_check,
        sites=sites,
        cookies=sites.session_cookies,
        people=users,
        sign_in=LoginService(
            users, hashing, store, an_issuer(), policy=totp, device_life=3600, clock=time.time
        ),
        device_life=3600,
        pages=PageRenderer(PageTheme()),
        docs=docs,
    )
    serving = Dispatcher(gateway)
    server = Listening(serving)
    # As browsers and the recipes, which take 32 KB of headers.
    async with TestClient(server, max_field_size=LINE_BYTES) as client:
        yield Surface(
            client,
            store,
            basic("shop", shop),
            basic("blog", blog),
            users,
            events,
            sessions,
            serving,
        )
        await sessions.settle()
    mirror.close()
    hashing.close()
    await store.close()
