"""Every request on a connection is answered once, in order and by nothing but itself."""

import asyncio
import random
import re
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from authgw.forward_auth import decision_cache
from authgw.server.http_protocol import Connection
from authgw.web.context import PEER
from authgw.web.problems import Handler
from authgw.web.routes import application
from tests.support import processes
from tests.support.counts import count
from tests.support.gateway import MakeGateway, RunningGateway
from tests.support.login_scene import Jar, page_of
from tests.support.messages import MALFORMED, Message, Messages, SmuggledIdentity
from tests.threats.differential import Differential

_RULES = """\
rules:
  - {host: app.example.com, path: "/vault/**", allow: authenticated, require: totp}
  - {host: wiki.example.com, allow: "group:writers"}
  - {host: app.example.com, method: [GET, POST], allow: authenticated}
  - {host: dav.example.com, allow: anyone}
"""
_MESSAGES = count(2_000, 100_000)
_AT_ONCE = 250  # messages with the same identities, whose tokens are valid for 15 minutes
# Messages that are cut at every byte: kinds that keep the connection, before an unusual message.
_OWN = ("check", "direct", "forward", "envoy")
_TRAIN = (_OWN, ("login", "refresh", "ending"), ("form", "plain", "body"), _OWN)
_UNUSUAL = ("last", "upgrade", "chunked", "expect")
_LONGEST = 1500  # bytes of a message that is cut at every byte


@pytest.fixture
async def ruled(make_gateway: MakeGateway) -> RunningGateway:
    return await make_gateway(
        logging={"decisions": "denied"},
        server={"socket": "socket", "trusted_proxies": ["127.0.0.1", "unix"]},
        login=page_of(),
        rules=yaml.safe_load(_RULES)["rules"],
        auth={"direct_check": True},
    )


@pytest.fixture
def unix(ruled: RunningGateway, tmp_path: Path) -> str:
    """Return the path of the socket on which the same gateway listens."""
    return str(tmp_path / "socket")


async def identities(ruled: RunningGateway, seed: int) -> list[SmuggledIdentity]:
    jar = Jar(ruled)
    await jar.log_in()
    found = []
    for number in range(1, 5):
        user_id = 10 * seed + number
        access = (await ruled.login(user_id, groups=["users"]))["access"]
        refresh = (await ruled.login(user_id + 5))["refresh"]
        found.append(SmuggledIdentity(access, refresh, jar.session if number == 1 else ""))
    return found


def port_of(ruled: RunningGateway) -> int:
    assert ruled.client.port is not None
    return ruled.client.port


async def compare(
    ruled: RunningGateway, test: Differential, seed: int, *kinds: str, many: int
) -> None:
    client = ruled.shop["Authorization"]
    made = Messages(random.Random(seed), await identities(ruled, seed), client, kinds)
    await test.run([made.one() for _ in range(many)])


def report(test: Differential, seed: int) -> str:
    return f"seed {seed}: " + "\n".join(map(str, test.found[:5]))


def both(port: int, unix: str) -> list[Differential]:
    addresses: tuple[tuple[str, int] | str, ...] = (("127.0.0.1", port), unix)
    return [Differential(address, random.Random(1)) for address in addresses]


async def test_every_way_of_sending_has_the_same_answers(ruled: RunningGateway, unix: str) -> None:
    tests = both(port_of(ruled), unix)
    for seed in range(_MESSAGES // _AT_ONCE):
        test = tests[seed % 2]
        await compare(ruled, test, seed, many=_AT_ONCE)
        assert not any(test.found), report(test, seed)
    assert ruled.serving.cached_responses > 0


def trains(client: str, logged_in: list[SmuggledIdentity]) -> list[list[Message]]:
    """Return own, cached, JSON and delegated requests before each unusual message, a check behind.

    In a quick run these are a sample of the malformed messages.
    """
    choose = random.Random(1)

    def short(*kinds: str) -> Message:
        made = Messages(choose, logged_in, client, kinds)
        return next(each for each in iter(made.one, None) if len(each.raw) <= _LONGEST)

    malformed = [Message("malformed", raw) for raw in MALFORMED if len(raw) <= _LONGEST]
    malformed = choose.sample(malformed, min(len(malformed), count(4, len(malformed))))
    head = f"Host: x\r\nAuthorization: Bearer {logged_in[0].access}\r\n\r\n"
    cached = Message("cached", b"GET /authenticate HTTP/1.1\r\n" + head.encode())
    unusual = [*map(short, _UNUSUAL), *malformed]
    return [
        [cached, *(short(*kinds) for kinds in _TRAIN), cached, last, short("check")]
        for last in unusual
    ]


def every_byte(raw: bytes) -> list[int]:
    """Return the places between bytes; in a quick run, those at ends of heads and 25 others."""
    every = range(1, len(raw))
    ends = {found.start() + n for found in re.finditer(rb"\r\n\r\n", raw) for n in range(1, 6)}
    others = random.Random(len(raw)).sample(every, min(len(every), count(25, len(every))))
    return sorted({*ends, *others} & {*every})


async def test_messages_cut_at_every_byte_have_the_same_answers(
    ruled: RunningGateway, unix: str
) -> None:
    tests = both(port_of(ruled), unix)
    client = ruled.shop["Authorization"]
    for number in range(len(trains(client, await identities(ruled, 0)))):
        # Tokens are valid for 15 minutes, less than all cuts may take.
        messages = trains(client, await identities(ruled, number))[number]
        test = tests[number % 2]
        await test.run_cut(messages, every_byte)
        assert not any(test.found), report(test, number)
    assert ruled.serving.cached_responses > 0


def test_a_gateway_process_answers_alike(tmp_path: Path) -> None:
    gateway = processes.make_gateway(tmp_path / "gateway", AUTHGW_SERVER__SOCKET="socket")
    (gateway.folder / "config.yml").write_text(_RULES + "auth: {direct_check: true}\n")
    gateway.start()
    try:
        for seed, test in enumerate(both(gateway.port, str(gateway.folder / "socket"))):
            logged_in = [
                SmuggledIdentity(gateway.login(user)["access"], gateway.login(user + 9)["refresh"])
                for user in range(1, 5)
            ]
            client = gateway.basic["Authorization"]
            made = Messages(random.Random(seed), logged_in, client)
            asyncio.run(test.run([made.one() for _ in range(_AT_ONCE)]))
            assert not any(test.found), report(test, seed)
    finally:
        gateway.stop()


async def as_aiohttp_does(ruled: RunningGateway) -> asyncio.Server:
    """Serve the same application by aiohttp's own connections, without a transport between."""

    @web.middleware
    async def bind(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[PEER] = "127.0.0.1"
        ruled.serving.bind(request)
        return await handler(request)

    app = application(ruled.serving)
    app.middlewares[0] = bind
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    assert runner.server is not None
    return await asyncio.get_running_loop().create_server(runner.server, "127.0.0.1", 0)


def drop_queued(connection: Connection, data: bytes) -> None:
    """Lose the bytes behind the request under way."""


def same_digest(names: object, values: object) -> bytes:
    """Return the same digest for all credentials."""
    return bytes(32)


def end_in_these_bytes(connection: Connection, data: bytes) -> int:
    """Find no end of a head that is in two packets."""
    found = data.find(b"\r\n\r\n")
    return len(data) if found < 0 else found + 4


def whole_body(connection: Connection, data: bytes) -> bytes:
    """Take all bytes for those of the body under way."""
    connection._body_left = max(0, connection._body_left - len(data))
    if connection._application is not None:
        connection._application.feed(data)
    return b""


@pytest.mark.parametrize(
    ("name", "replacement"), [("_end_of_head", end_in_these_bytes), ("_feed_body", whole_body)]
)
async def test_a_gateway_that_loses_cut_messages_is_found_out(
    ruled: RunningGateway, monkeypatch: pytest.MonkeyPatch, name: str, replacement: object
) -> None:
    monkeypatch.setattr(Connection, name, replacement)
    test = Differential(("127.0.0.1", port_of(ruled)), random.Random(1), patience=0.5)
    for messages in trains(ruled.shop["Authorization"], await identities(ruled, 1)):
        await test.run_cut(messages, every_byte)
        if any(each.way.startswith("cut") for each in test.found):
            return
    pytest.fail("the test finds nothing")


@pytest.mark.parametrize(
    ("broken", "replacement", "kinds"),
    [
        ((Connection, "_queue"), drop_queued, ("login", "check")),
        ((decision_cache, "_digest"), same_digest, ("check",)),
    ],
)
async def test_a_gateway_without_its_fixes_is_found_out(
    ruled: RunningGateway,
    monkeypatch: pytest.MonkeyPatch,
    broken: tuple[object, str],
    replacement: object,
    kinds: tuple[str, ...],
) -> None:
    monkeypatch.setattr(*broken, replacement)
    for seed in range(1, 21):
        test = Differential(("127.0.0.1", port_of(ruled)), random.Random(seed), patience=0.5)
        await compare(ruled, test, seed, *kinds, many=64)
        if any(not each.way.startswith("alone") for each in test.found):
            return
    pytest.fail("the test finds nothing")


@pytest.mark.parametrize(
    ("kinds", "is_missing"),
    [
        # Bytes behind an upgrade are dropped, and the bytes after them are read as another request.
        (("upgrade", "check"), False),
        # After 32 messages, of which some bodies came late, nothing is read any more.
        (("body", "direct"), True),
        # Requests in the same packet as a malformed request are lost.
        (("direct", "malformed"), False),
        # A field behind a chunked body becomes a header of the next request.
        (("chunked", "check"), False),
    ],
)
async def test_aiohttp_alone_is_found_out(
    ruled: RunningGateway, kinds: tuple[str, ...], is_missing: bool
) -> None:
    listening = await as_aiohttp_does(ruled)
    port = listening.sockets[0].getsockname()[1]
    for seed in range(1, 21):
        test = Differential(("127.0.0.1", port), random.Random(seed), patience=0.5)
        await compare(ruled, test, seed, *kinds, many=64)
        found = [each for each in test.found if not each.way.startswith("alone")]
        if any(each.found is None or not is_missing for each in found):
            return
    pytest.fail("the test finds nothing")
