"""Gateways in the test's own process, with a store in memory, reached by a client on loopback."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pytest
from aiohttp import ClientResponse, encode_basic_auth, web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import StrOrURL
from prometheus_client import CollectorRegistry
from pytest_aiohttp.plugin import AiohttpClient
from yarl import URL

from authgw import app
from authgw.config.loader import Loaded
from authgw.config.rules import compile_rules
from authgw.config.schema import Settings
from authgw.core.audit import Event
from authgw.core.rules import Rules
from authgw.identity import users_editor
from authgw.identity.clients_file import add_client, load_clients
from authgw.identity.passwords import hash_password
from authgw.identity.totp import new_recovery_codes, new_secret, recovery_digest
from authgw.identity.users_watcher import UsersFile
from authgw.server.http_protocol import Connection, Connections
from authgw.server.listeners import listen
from authgw.server.reload import Reading
from authgw.server.replica import Replica
from authgw.server.store_factory import Store
from authgw.services.sessions import Sessions
from authgw.storage.sqlite.store import EmbeddedStore
from authgw.web.decision_cache import Shortcut
from authgw.web.dispatcher import Serving
from authgw.web.templating import Pages
from tests.support.builders import LIVES, an_issuer

PASSWORD = "correct horse battery staple"
HASH = hash_password(PASSWORD)
SECRET = new_secret()
RECOVERY = new_recovery_codes()[0]
ORIGINAL = {
    "X-Original-URL": "https://app.example.com/a?b=c",
    "X-Original-Host": "app.example.com",
    "X-Original-Method": "GET",
}
# Sections of the configuration that tests start from, where production's defaults do not suit.
_SECTIONS: Mapping[str, Mapping[str, Any]] = {
    "auth": {
        "access_lifetime": f"{LIVES.access:.0f}s",
        "refresh_lifetime": f"{LIVES.refresh:.0f}s",
        "session_max": f"{LIVES.session_max:.0f}s",
        "auto_logout": "1h",
        "max_sessions": 5,
    },
    "logging": {"decisions": "all"},
    "server": {"trusted_proxies": ["127.0.0.1"]},
}
_PORT_OF_THE_SYSTEMS_CHOICE = {"port": 0}
_OF_SHOP = ("users", "team-*")
Client = TestClient[web.Request, None]
# Compiling the templates takes longer than most tests.
_pages = cache(Pages)


class GatewayServer(TestServer):
    """A replica that listens as `authgw serve` does, on a free port."""

    def __init__(
        self,
        loaded: Loaded,
        store: Store,
        replica: Replica,
        runner: web.AppRunner,
        connections: Connections,
    ) -> None:
        super().__init__(runner.app, scheme="http")
        self.connections = connections
        self._loaded = loaded
        self._store = store
        self._replica = replica
        self._set_up = runner

    async def start_server(self, *_: Any, **__: Any) -> None:
        server = self._loaded.settings.server.model_copy(update=_PORT_OF_THE_SYSTEMS_CHOICE)
        await listen(self._set_up, self.connections, server, self._loaded.folder)
        self.runner = self._set_up
        self.host, self.port = next(at for at in self.runner.addresses if isinstance(at, tuple))

    def make_url(self, path: StrOrURL) -> URL:
        return URL(f"http://{self.host}:{self.port}").join(URL(path))

    async def close(self) -> None:
        if not self.closed:
            await super().close()
            await self._replica.close()
            await self._store.close()


@dataclass
class RunningGateway:
    """A running gateway: its client, its parts, the events that it recorded."""

    client: Client
    server: GatewayServer
    store: EmbeddedStore
    shop: dict[str, str]
    blog: dict[str, str]
    users: UsersFile
    events: list[Event]
    serving: Serving

    @property
    def sessions(self) -> Sessions:
        return self.serving.gateway.sessions

    @property
    def connections(self) -> list[Connection]:
        return list(self.server.connections._open)

    @property
    def shortcut(self) -> Shortcut:
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


class MakeGateway(Protocol):
    """Makes gateways from the sections of a configuration, as `config.yml` has them."""

    async def __call__(
        self,
        *,
        rules: Rules | Sequence[Mapping[str, Any]] | None = None,
        clock: Callable[[], float] = time.time,
        **sections: Mapping[str, Any],
    ) -> RunningGateway: ...


@pytest.fixture
def make_gateway(
    tmp_path: Path, aiohttp_client: AiohttpClient, monkeypatch: pytest.MonkeyPatch
) -> MakeGateway:
    """Return a function that starts a gateway; it ends with the test."""
    monkeypatch.setattr(app, "Pages", _pages)

    async def make(
        *,
        rules: Rules | Sequence[Mapping[str, Any]] | None = None,
        clock: Callable[[], float] = time.time,
        **sections: Mapping[str, Any],
    ) -> RunningGateway:
        loaded = configured(tmp_path, sections, rules)
        auth = loaded.settings.auth
        secret = {
            "shop": add_client(loaded.path(auth.clients), "shop", subjects="*", groups=_OF_SHOP),
            "blog": add_client(loaded.path(auth.clients), "blog", subjects="b-*", groups=()),
        }
        users = people(loaded.path(auth.users))
        reading = Reading(loaded, an_issuer().keys, load_clients(loaded.path(auth.clients)), users)
        events: list[Event] = []
        store = await EmbeddedStore.open(None, idle=auth.auto_logout)
        replica = app.build(reading, store, clock=clock, record=events.append)
        drain = loaded.settings.server.drain
        http = await app.http_server(replica, CollectorRegistry(), drain)
        server = GatewayServer(loaded, store, replica, *http)
        # As browsers and the recipes, which take 32 KB of headers.
        client: Client = await aiohttp_client(server, max_field_size=app.LINE_BYTES)
        return RunningGateway(
            client,
            server,
            store,
            basic("shop", secret["shop"]),
            basic("blog", secret["blog"]),
            users,
            events,
            replica.serving,
        )

    return make


def configured(
    folder: Path,
    sections: Mapping[str, Mapping[str, Any]],
    rules: Rules | Sequence[Mapping[str, Any]] | None,
) -> Loaded:
    """Return a configuration of these sections, with users and clients files of its own."""
    entries = None if isinstance(rules, Rules) else rules
    own = {name: f"{secrets.token_hex(4)}-{name}.yml" for name in ("users", "clients")}
    merged = {name: {**_SECTIONS.get(name, {}), **section} for name, section in sections.items()}
    merged["auth"] = {**own, **merged.get("auth", _SECTIONS["auth"])}
    settings = Settings.model_validate({**_SECTIONS, **merged, "rules": entries})
    if settings.rules is not None:
        origins = [f"rules:{number}" for number in range(len(settings.rules))]
        rules = compile_rules(settings.rules, origins)
    assert rules is None or isinstance(rules, Rules)
    return Loaded(settings, (), folder, rules)


def people(file: Path) -> UsersFile:
    """alice (writers, a second factor), bob and the disabled gone, with the same password."""
    file.write_bytes(_users())
    file.chmod(0o600)
    return UsersFile(file)


@cache
def _users() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "users.yml"
        users_editor.add(
            path, "alice", HASH, groups=("writers",), email="a@example.com", name="Alice A"
        )
        users_editor.add(path, "bob", HASH)
        users_editor.add(path, "gone", HASH)
        users_editor.set_disabled(path, "gone", True)
        users_editor.set_totp(path, "alice", SECRET, [recovery_digest(RECOVERY)])
        return path.read_bytes()


def basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": encode_basic_auth(name, secret)}
