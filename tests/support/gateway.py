"""Gateways in the test's own process, with a store in memory, reached by a client on loopback."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pytest
from aiohttp import ClientResponse, encode_basic_auth, web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import StrOrURL
from prometheus_client import CollectorRegistry
from pytest_aiohttp.plugin import AiohttpClient
from yarl import URL

from authgw import app
from authgw.config.loader import LoadedConfig
from authgw.config.provider_icons import load_icons
from authgw.config.rules import compile_rules
from authgw.config.schema import Settings
from authgw.core.audit import Event
from authgw.core.limits import MAX_HEADER_LINE_BYTES
from authgw.core.ports import Store
from authgw.core.rules import Rules
from authgw.forward_auth.decision_cache import DecisionCache
from authgw.identity import users_editor
from authgw.identity.clients_file import add_client
from authgw.identity.passwords import hash_password
from authgw.identity.totp import new_recovery_codes, new_secret, recovery_digest
from authgw.identity.users_watcher import WatchedUsersFile
from authgw.server.http_protocol import Connection
from authgw.server.http_server import HttpServer
from authgw.server.reload import ReloadableState, read_entries
from authgw.server.replica import Replica
from authgw.services.sessions import Sessions
from authgw.storage.mirror import Mirror
from authgw.storage.sqlite.store import EmbeddedStore
from authgw.web.dispatcher import Dispatcher
from authgw.web.templating import PageRenderer
from tests.support.builders import LIVES, an_issuer

Client = TestClient[web.Request, None]
Clock = Callable[[], float]
Section = Mapping[str, Any]
# As in config.yml, or compiled.
WrittenRules = Rules | Sequence[Mapping[str, Any]] | None

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
_SECTIONS: Mapping[str, Section] = {
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
_ANY_FREE_PORT = {"port": 0}
# Compiling the templates takes longer than most tests.
_pages = cache(PageRenderer)


class GatewayServer(TestServer):
    """A replica that listens as `authgw serve` does, on a free port."""

    def __init__(
        self, loaded: LoadedConfig, store: Store, replica: Replica, http: HttpServer
    ) -> None:
        super().__init__(http.application, scheme="http")
        self.http = http
        self._loaded = loaded
        self._store = store
        self._replica = replica
        self._is_closed = False

    @property
    def mirror(self) -> Mirror:
        return self._replica._parts.mirror

    async def start_server(self, *_: Any, **__: Any) -> None:
        server = self._loaded.settings.server.model_copy(update=_ANY_FREE_PORT)
        await self.http.listen(server, self._loaded.directory)
        self.host, self.port = next(
            address for address in self.http.addresses if isinstance(address, tuple)
        )

    def make_url(self, path: StrOrURL) -> URL:
        return URL(f"http://{self.host}:{self.port}").join(URL(path))

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            await self.http.close()
            await self._replica.close()
            await self._store.close()


@dataclass
class RunningGateway:
    """A running gateway: its client, its parts, and its recorded events."""

    client: Client
    server: GatewayServer
    store: EmbeddedStore
    shop: dict[str, str]
    blog: dict[str, str]
    users: WatchedUsersFile
    events: list[Event]
    serving: Dispatcher

    @property
    def sessions(self) -> Sessions:
        return self.serving.gateway.services.sessions

    @property
    def connections(self) -> list[Connection]:
        return [cast(Connection, each) for each in self.server.http.connections._open]

    @property
    def cache(self) -> DecisionCache:
        cache = self.serving.gateway.checks.cache
        assert cache is not None
        return cache

    async def post(self, path: str, json: Any = None, **options: Any) -> ClientResponse:
        return await self.client.post(path, json=json, **options)

    async def login(self, user_id: Any = 1, **more: Any) -> dict[str, Any]:
        response = await self.post("/login", {"user_id": user_id, **more}, headers=self.shop)
        assert response.status == 200, await response.text()
        pair: dict[str, Any] = await response.json()
        return pair

    async def login_elsewhere(self, user_id: int = 1) -> dict[str, Any]:
        """Log in as at another replica: this replica reads the session at its first check."""
        pair = await self.login(user_id)
        self.server.mirror._drop(pair["sid"])
        return pair

    async def check(self, access: str, **headers: str) -> ClientResponse:
        bearer = {"Authorization": f"Bearer {access}"}
        return await self.client.get("/authenticate", headers={**bearer, **headers})

    async def status(self, access: str) -> int:
        return (await self.check(access)).status


@dataclass(frozen=True)
class MakeGateway:
    """Starts gateways in a directory, each with files of its own; they end with the test."""

    folder: Path
    aiohttp_client: AiohttpClient

    async def __call__(
        self,
        *,
        rules: WrittenRules = None,
        clock: Clock = time.time,
        store_clock: Clock = time.time,
        **sections: Section,
    ) -> RunningGateway:
        """Start a gateway with these sections of a configuration, as `config.yml` has them."""
        loaded = configured(self.folder, sections, rules)
        backend_secrets, events = clients(loaded), list[Event]()
        idle = loaded.settings.auth.auto_logout
        store = await EmbeddedStore.open(None, idle=idle, clock=store_clock)
        reading = reading_of(loaded)
        replica = app.build(reading, store, clock=clock, record=events.append)
        http = await app.http_server(replica, CollectorRegistry())
        server = GatewayServer(loaded, store, replica, http)
        # Browsers and the recipes accept 32 KB of headers, too.
        client: Client = await self.aiohttp_client(server, max_field_size=MAX_HEADER_LINE_BYTES)
        shop, blog = (basic(name, backend_secrets[name]) for name in ("shop", "blog"))
        return RunningGateway(
            client, server, store, shop, blog, reading.users, events, replica.serving
        )


@pytest.fixture
def make_gateway(
    tmp_path: Path, aiohttp_client: AiohttpClient, monkeypatch: pytest.MonkeyPatch
) -> MakeGateway:
    """Return a function that starts gateways."""
    monkeypatch.setattr(app, "PageRenderer", _pages)
    return MakeGateway(tmp_path, aiohttp_client)


def configured(folder: Path, sections: Mapping[str, Section], rules: WrittenRules) -> LoadedConfig:
    """Return a configuration of these sections, with users and clients files of its own."""
    own = {name: f"{secrets.token_hex(4)}-{name}.yml" for name in ("users", "clients", "bindings")}
    names = {*_SECTIONS, *sections}
    merged = {name: {**_SECTIONS.get(name, {}), **sections.get(name, {})} for name in names}
    merged["auth"] |= own
    written = {} if rules is None or isinstance(rules, Rules) else {"rules": rules}
    settings = Settings.model_validate({**merged, **written})
    if not isinstance(rules, Rules) and settings.rules is not None:
        rules = compile_rules(settings.rules, [f"rules:{n}" for n in range(len(settings.rules))])
    assert rules is None or isinstance(rules, Rules)
    return LoadedConfig(settings, (), folder, rules)


def clients(loaded: LoadedConfig) -> dict[str, str]:
    """Write the clients file: shop may open any session, blog those of its own subjects."""
    file = loaded.path(loaded.settings.auth.clients)
    return {
        "shop": add_client(file, "shop", subjects="*", groups=("users", "team-*")),
        "blog": add_client(file, "blog", subjects="b-*", groups=()),
    }


def reading_of(loaded: LoadedConfig) -> ReloadableState:
    """Return the files of this configuration, read, with the key that all tests share."""
    auth = loaded.settings.auth
    users = loaded.path(auth.users)
    users.write_bytes(_users())
    users.chmod(0o600)
    found = read_entries(loaded)
    return ReloadableState(
        loaded,
        an_issuer().keys,
        found.clients,
        found.users,
        icons=load_icons(loaded),
        providers=loaded.settings.login.loaded_providers(loaded.directory),
    )


@cache
def _users() -> bytes:
    """Return a users file: alice (writers, a second factor), bob and the disabled gone."""
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
