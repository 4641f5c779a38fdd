"""Replies that Redis never sends: for every command a 503 and a closed connection."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pyotp
import pytest

from authgw.core.errors import StoreUnavailableError
from authgw.core.session_codec import dump, load
from authgw.identity import users_editor
from authgw.identity.passwords import hash_password
from authgw.identity.totp import new_secret
from authgw.storage.redis.connect import connect
from authgw.storage.redis.store import RedisStore
from tests.e2e.wrong_redis import WrongRedis, array, bulk
from tests.support.builders import numbered
from tests.support.processes import GatewayProcess, HttpResponse, ask, authgw_here, make_gateway

pytestmark = pytest.mark.alone

PASSWORD = "correct horse battery staple"
SECRET = new_secret()
FIELDS = {"sid": "x" * 44, "sub": "1"}

# Not a reply to any command of the gateway.
EVER_WRONG = {
    "status": b"+PONG\r\n",
    "double": b",1.5\r\n",
    "true": b"#t\r\n",
    "map": b"%1\r\n$1\r\na\r\n:1\r\n",
    "set": b"~1\r\n$1\r\nx\r\n",
    "big number": b"(92233720368547758089999\r\n",
    "huge integer": b":92233720368547758089999\r\n",
    "nested": b"*1\r\n*1\r\n*1\r\n*0\r\n",
    "deep": b"*1\r\n" * 200 + b":1\r\n",
    "an error within": b"*2\r\n-ERR inner\r\n:1\r\n",
    "mixed": b"*3\r\n:1\r\n$1\r\nx\r\n$-1\r\n",
    "no UTF-8": bulk(b"\xff\xfe{"),
    "no RESP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "error": b"-ERR unknown command\r\n",
    "odd MOVED": b"-MOVED\r\n",
    "odd ASK": b"-ASK 1 nowhere\r\n",
}
INTEGER = {"integer": b":7\r\n"}
NIL = {"nil": b"$-1\r\n", "null": b"_\r\n"}
OK = {"OK": b"+OK\r\n"}
EMPTY_TEXT = {"empty text": b"$0\r\n\r\n"}
EMPTY_LIST = {"empty list": b"*0\r\n"}
SIMPLE = {**INTEGER, **NIL, **OK, **EMPTY_TEXT, **EMPTY_LIST}
NEGATIVE = {"negative": b":-1\r\n"}
RECORDS = {
    name: bulk(text if isinstance(text, bytes) else json.dumps(text).encode())
    for name, text in {
        "no JSON": b"{",
        "deep JSON": b"[" * 5000,
        "a list": [],
        "a number": 7,
        "no field": {"sid": 1},
    }.items()
}


class WrongReplyCase(NamedTuple):
    """A command, the request that causes it, and further replies that are wrong for it."""

    command: str
    reach: Callable[["WrongRedisScene"], HttpResponse]
    wrong: dict[str, bytes]


class WrongRedisScene:
    """A gateway on such a Redis, with an active session."""

    def __init__(self, gateway: GatewayProcess, redis: WrongRedis) -> None:
        self.gateway, self.redis = gateway, redis
        self.pair = gateway.login(1)

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return ask(self.gateway.port, "POST", path, headers, body)

    def login(self) -> HttpResponse:
        return self.post("/login", {"user_id": 1}, **self.gateway.basic)

    def person(self) -> HttpResponse:
        return self.post("/login", {"username": "bob", "password": PASSWORD})

    def code(self) -> HttpResponse:
        code = pyotp.TOTP(SECRET).now()
        return self.post("/login", {"username": "alice", "password": PASSWORD, "totp": code})

    def failure(self) -> HttpResponse:
        return self.post("/revoke", {"user_id": 1}, Authorization="Basic eDp5")

    def refresh(self) -> HttpResponse:
        return self.post("/refresh", {"refresh": self.pair["refresh"]})

    def logout(self) -> HttpResponse:
        return self.post("/logout", Authorization=f"Bearer {self.pair['access']}")

    def logout_everywhere(self) -> HttpResponse:
        bearer = f"Bearer {self.pair['access']}"
        return self.post("/logout", {"all": True}, Authorization=bearer)

    def check(self) -> HttpResponse:
        bearer = {"Authorization": f"Bearer {self.pair['access']}"}
        return ask(self.gateway.port, "GET", "/authenticate", bearer)

    def sessions(self) -> HttpResponse:
        return ask(self.gateway.port, "GET", "/sessions?user_id=1", self.gateway.basic)

    def revoke(self) -> HttpResponse:
        return self.post("/revoke", {"sid": self.pair["sid"]}, **self.gateway.basic)

    def revoke_subject(self) -> HttpResponse:
        return self.post("/revoke", {"user_id": 1}, **self.gateway.basic)

    def ready(self) -> HttpResponse:
        return ask(self.gateway.port, "GET", "/readyz")


CASES = [
    WrongReplyCase(
        "add",
        WrongRedisScene.login,
        {**INTEGER, **NIL, **OK, **EMPTY_TEXT, "sid": array(bulk(b"x"))},
    ),
    WrongReplyCase("increment", WrongRedisScene.person, {**SIMPLE, "one": b"*1\r\n:1\r\n"}),
    WrongReplyCase("increment", WrongRedisScene.failure, SIMPLE),
    WrongReplyCase("increment", WrongRedisScene.code, SIMPLE),
    WrongReplyCase("release", WrongRedisScene.person, {**NIL, **OK, **EMPTY_TEXT, **EMPTY_LIST}),
    WrongReplyCase("SET", WrongRedisScene.code, {**INTEGER, **EMPTY_TEXT, **EMPTY_LIST}),
    WrongReplyCase(
        "GETEX", WrongRedisScene.check, {**INTEGER, **OK, **EMPTY_TEXT, **EMPTY_LIST, **RECORDS}
    ),
    WrongReplyCase(
        "GETEX", WrongRedisScene.refresh, {**INTEGER, **OK, **EMPTY_TEXT, **EMPTY_LIST, **RECORDS}
    ),
    WrongReplyCase(
        "GETEX", WrongRedisScene.revoke, {**INTEGER, **OK, **EMPTY_TEXT, **EMPTY_LIST, **RECORDS}
    ),
    WrongReplyCase(
        "replace",
        WrongRedisScene.refresh,
        {**SIMPLE, "no time": b"*3\r\n:0\r\n$-1\r\n:1\r\n", "a word": b"*2\r\n:1\r\n:1\r\n"},
    ),
    WrongReplyCase(
        "revoke",
        WrongRedisScene.logout,
        {**INTEGER, **NIL, **OK, **EMPTY_TEXT, **EMPTY_LIST, **NEGATIVE},
    ),
    WrongReplyCase("revoke", WrongRedisScene.revoke, SIMPLE),
    WrongReplyCase(
        "revoke_all", WrongRedisScene.logout_everywhere, {**INTEGER, **NIL, **OK, **EMPTY_TEXT}
    ),
    WrongReplyCase("ZRANGE", WrongRedisScene.sessions, {**INTEGER, **NIL, **OK, **EMPTY_TEXT}),
    WrongReplyCase(
        "ZRANGE", WrongRedisScene.revoke_subject, {**INTEGER, **NIL, **OK, **EMPTY_TEXT}
    ),
    WrongReplyCase(
        "MGET", WrongRedisScene.sessions, {**SIMPLE, "too many": array(*[b"$-1\r\n"] * 99)}
    ),
    WrongReplyCase("MGET", WrongRedisScene.revoke_subject, SIMPLE),
    WrongReplyCase("TIME", WrongRedisScene.ready, {**SIMPLE, "integers": b"*2\r\n:1\r\n:1\r\n"}),
]


@pytest.fixture(scope="module")
def redis() -> Iterator[WrongRedis]:
    made = WrongRedis()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, redis: WrongRedis) -> Iterator[WrongRedisScene]:
    folder = tmp_path_factory.mktemp("wrong") / "gateway"
    gateway = make_gateway(
        folder,
        AUTHGW_CACHE__URL=redis.url,
        AUTHGW_CACHE__MAX_STALENESS="0",
        AUTHGW_AUTH__ALGORITHM="HS256",
    )
    (folder / "secrets" / "jwt_key").write_text("k" * 48)
    (folder / "secrets" / "jwt_key").chmod(0o600)
    hashed = hash_password(PASSWORD)
    users_editor.add(folder / "users.yml", "bob", hashed)
    users_editor.add(folder / "users.yml", "alice", hashed)
    users_editor.set_totp(folder / "users.yml", "alice", SECRET, [])
    gateway.start()
    gateway.wait_until_ready()
    yield WrongRedisScene(gateway, redis)
    gateway.stop()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.command}-{case.reach.__name__}")
def test_a_wrong_reply_is_a_503(scene: WrongRedisScene, case: WrongReplyCase) -> None:
    # Text that is not UTF-8 has a valid type for a record.
    for what, reply in {**EVER_WRONG, **case.wrong}.items():
        scene.pair = scene.gateway.login(1)
        with scene.redis.giving(case.command, reply):
            answer = case.reach(scene)
        assert scene.redis.given > 0, what
        assert answer.status == 503, (what, answer.body)
        if case.reach is not WrongRedisScene.ready:
            assert answer.json()["code"] == "store_unavailable"
            assert PASSWORD not in answer.body.decode()
    assert "Traceback" not in scene.gateway.log
    assert "internal_error" not in scene.gateway.log


@pytest.mark.parametrize("command", ["GETEX", "add", "revoke"])
def test_a_connection_with_a_wrong_reply_is_not_used_again(
    scene: WrongRedisScene, command: str
) -> None:
    reach = {
        "GETEX": WrongRedisScene.check,
        "add": WrongRedisScene.login,
        "revoke": WrongRedisScene.logout,
    }[command]
    scene.pair = scene.gateway.login(1)
    with scene.redis.giving(command, b"*1\r\n:7\r\n"):
        assert reach(scene).status == 503
    for _ in range(5):
        scene.pair = scene.gateway.login(1)
        assert scene.check().status == 200
    assert (scene.redis.given > 0, scene.redis.after) == (True, 0)


def test_a_wrong_reply_is_a_line_in_the_log(scene: WrongRedisScene) -> None:
    with scene.redis.giving("add", b":1\r\n"):
        assert scene.login().status == 503
    said = "the reply to EVALSHA is not that of a Redis: correct cache.url"
    assert said in scene.gateway.log


def test_a_record_of_another_session_is_rejected(scene: WrongRedisScene) -> None:
    other = scene.gateway.login(2)
    mine = scene.gateway.login(1)
    records = scene.redis.records
    (theirs,) = (text for key, text in records.items() if key.endswith(other["sid"].encode()))
    scene.pair = mine
    with scene.redis.giving("GETEX", bulk(theirs)):
        assert scene.check().status == 503
        assert scene.refresh().status == 503


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gen", "1"), ("gen", True), ("gen", 1.5), ("sub", 7), ("sub", None), ("email", []),
        ("expires_at", "soon"), ("expires_at", float("nan")), ("expires_at", float("inf")),
        ("created_at", 10**400), ("confirmed", 1), ("user_id", "1"), ("rotated_at", "x"),
        ("groups", 5), ("groups", [5]), ("client", []), ("current", {}), ("password_mark", 5),
        ("amr", 5), ("previous_refresh_jti", 5),
    ],
)  # fmt: skip  # rows of a table
def test_a_record_with_a_wrong_field_is_rejected(
    scene: WrongRedisScene, field: str, value: object
) -> None:
    scene.pair = scene.gateway.login(1)
    sid = scene.pair["sid"].encode()
    (record,) = (text for key, text in scene.redis.records.items() if key.endswith(sid))
    by_name = json.loads(dump(load(record)))
    changed = json.dumps({**by_name, field: value}).encode()
    with scene.redis.giving("GETEX", bulk(changed)):
        assert scene.check().status == 503
        assert scene.refresh().status == 503


@pytest.mark.parametrize(
    ("words", "commands"),
    [
        (("session", "list"), ("SCAN", "kept", "TIME")),
        (("session", "list", "--user", "1"), ("ZRANGE", "MGET", "PTTL", "TIME")),
        (("session", "revoke", "--user", "1"), ("revoke_all", "TIME")),
        (("doctor",), ("INFO", "CONFIG", "replicas", "TIME")),
    ],
)
def test_commands_report_an_unavailable_store(
    scene: WrongRedisScene, words: tuple[str, ...], commands: tuple[str, ...]
) -> None:
    scene.gateway.login(1)
    for command in commands:
        for what, reply in EVER_WRONG.items():
            if (command, what) == ("CONFIG", "error"):
                continue  # a permission that authgw's user does not have
            with scene.redis.giving(command, reply):
                done = authgw_here(scene.gateway.folder, *words, **scene.gateway.environ)
            assert scene.redis.given > 0, (command, what)
            assert done.exit_code == 1, (command, what, done.output)
            assert isinstance(done.exception, SystemExit), (command, what)
            assert "Redis" in done.output


@pytest.mark.parametrize("command", ["HELLO", "CLIENT", "announce", "SUBSCRIBE"])
def test_background_tasks_survive_wrong_replies(scene: WrongRedisScene, command: str) -> None:
    for reply in EVER_WRONG.values():
        with scene.redis.giving(command, reply):
            time.sleep(0.05)
            scene.ready()
    deadline = time.monotonic() + 10
    while scene.login().status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "Traceback" not in scene.gateway.log


@pytest.mark.parametrize(
    ("kind", "command", "besides"),
    [
        ("cluster", "CLUSTER", {**INTEGER, **NIL, **OK, **EMPTY_TEXT, **EMPTY_LIST}),
        ("cluster", "WAIT", {**NIL, **OK, **EMPTY_TEXT, **EMPTY_LIST, **NEGATIVE}),
        ("sentinel", "SENTINEL", SIMPLE),
        ("sentinel", "WAIT", {**NIL, **OK, **EMPTY_TEXT, **EMPTY_LIST, **NEGATIVE}),
    ],
)
async def test_clusters_and_sentinels(
    redis: WrongRedis, kind: str, command: str, besides: dict[str, bytes]
) -> None:
    path = "/main" if kind == "sentinel" else ""
    for what, reply in {**EVER_WRONG, **besides}.items():
        store = RedisStore(
            connect(f"redis+{kind}://127.0.0.1:{redis.port}{path}"), idle=60, session_max=60
        )
        with redis.giving(command, reply):
            with pytest.raises(StoreUnavailableError):
                await store.add(numbered(1), 10)
            assert redis.given > 0, what
        # The role is read again as soon as the interval allows it.
        for _ in range(100):
            try:
                await store.add(numbered(1), 10)
                break
            except StoreUnavailableError:
                await asyncio.sleep(0.02)
        else:
            pytest.fail(f"no answer after {what}")
        await store.close()


async def test_a_master_whose_role_cannot_be_read_confirms_nothing(redis: WrongRedis) -> None:
    redis.fixed["WAIT"] = b":0\r\n"
    store = RedisStore(connect(f"redis+cluster://127.0.0.1:{redis.port}"), idle=60, session_max=60)
    await store.add(numbered(1), 10)  # a master without a replica is accepted
    for reply in EVER_WRONG.values():
        with redis.giving("ROLE", reply), pytest.raises(StoreUnavailableError):
            await store.revoke(numbered(1).sid)
    redis.fixed["WAIT"] = b":1\r\n"
    await store.close()
