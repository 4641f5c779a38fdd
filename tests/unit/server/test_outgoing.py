"""Calls to identity providers, at real servers on the loopback interface."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from authgw.core import limits
from authgw.core.errors import ProviderUnavailableError
from authgw.server import outgoing
from authgw.server.outgoing import OneProviderCalls, OutgoingClient
from authgw.services.providers.calls import BasicCredentials
from tests.support.certificate import write_certificate

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Serve = Callable[..., Awaitable[str]]


@pytest.fixture
async def client() -> AsyncIterator[OutgoingClient]:
    made = OutgoingClient()
    yield made
    await made.close()


@pytest.fixture
def calls(client: OutgoingClient) -> OneProviderCalls:
    return client.calls_of("company")


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(handler: Handler, tls: ssl.SSLContext | None = None) -> str:
            runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            port = runner.addresses[0][1]
            return f"https://idp.localhost:{port}" if tls else f"http://127.0.0.1:{port}"

        yield start


def answering(
    body: bytes = b"{}", content_type: str = "application/json", status: int = 200, **headers: str
) -> Handler:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(
            body=body, status=status, headers={"Content-Type": content_type, **named}
        )

    return handler


async def note_of(call: Awaitable[object]) -> str:
    with pytest.raises(ProviderUnavailableError) as refused:
        await call
    return refused.value.note


async def test_a_get_and_a_post_send_what_they_are_given(
    calls: OneProviderCalls, serve: Serve
) -> None:
    seen = []

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append((request.method, dict(request.headers), await request.text()))
        return web.json_response({"ok": 1})

    url = await serve(handler)
    got = await calls.get_json(f"{url}/me", bearer="abc", headers={"X-Api": "1"})
    assert (got.status, got.body) == (200, b'{"ok": 1}')
    assert got.date.endswith(" GMT")
    await calls.post_form(f"{url}/token", {"code": "a+b"}, basic=BasicCredentials("id", "s"))
    (_, first, _), (method, second, text) = seen
    assert (first["Authorization"], first["X-Api"]) == ("Bearer abc", "1")
    assert first["User-Agent"].startswith("authgw/")
    assert (first["Accept"], first["Accept-Encoding"]) == ("application/json", "identity")
    assert (method, text, second["Authorization"]) == ("POST", "code=a%2Bb", "Basic aWQ6cw==")


@pytest.mark.parametrize(
    ("handler", "part"),
    [
        (answering(status=302, Location="http://127.0.0.1:1/"), "redirects (status 302)"),
        (answering(status=503), "responded with status 503"),
        (answering(status=429), "responded with status 429"),
        (answering(b"<p>", "text/html"), "sent no JSON (status 200)"),
        (answering(b"a.b.c", "application/jwt"), "set userinfo of this client to unsigned JSON"),
        (answering(Content_Encoding="gzip"), "compressed"),
        (answering(b" " * (limits.MAX_PROVIDER_RESPONSE_BYTES + 1)), "sent more than 1048576"),
    ],
)
async def test_an_unusable_response_is_named(
    calls: OneProviderCalls, serve: Serve, handler: Handler, part: str
) -> None:
    url = await serve(handler)
    note = await note_of(calls.get_json(f"{url}/keys?token=secret"))
    assert part in note
    assert note.startswith(f"{url}/keys ")
    assert "secret" not in note


@pytest.mark.parametrize(
    ("handler", "status"),
    [
        (answering(b"x" * limits.MAX_PROVIDER_RESPONSE_BYTES), 200),
        (answering(content_type="application/jwk-set+json"), 200),
        (answering(content_type="application/json; charset=utf-8", status=401), 401),
        (answering(b"", "text/plain"), 200),
    ],
)
async def test_json_and_empty_bodies_are_returned_with_their_status(
    calls: OneProviderCalls, serve: Serve, handler: Handler, status: int
) -> None:
    assert (await calls.get_json(await serve(handler))).status == status


async def test_cookies_are_neither_kept_nor_sent(calls: OneProviderCalls, serve: Serve) -> None:
    cookies = []

    async def handler(request: web.BaseRequest) -> web.Response:
        cookies.append(request.headers.get("Cookie"))
        return web.json_response({}, headers={"Set-Cookie": "a=b; Path=/"})

    url = await serve(handler)
    await calls.get_json(url)
    await calls.get_json(url)
    assert cookies == [None, None]


async def test_a_proxy_of_the_environment_is_not_used(
    calls: OneProviderCalls, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await calls.get_json(await serve(answering()))).status == 200


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example.com/",
        "http://localhost.example.com/",
        "http://127.0.0.1.example.com/",
        "file:///etc/passwd",
        "https://user:secret@idp.example.com/",
        "https://",
        "//idp.example.com",
        "https://[::1",
    ],
)
async def test_only_https_leaves_this_machine(calls: OneProviderCalls, url: str) -> None:
    note = await note_of(calls.get_json(url))
    assert note.startswith("an address of the identity provider ")
    assert "secret" not in note


async def test_a_hanging_provider_costs_its_time_limit(
    calls: OneProviderCalls, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "PROVIDER_CALL_TIMEOUT", 0.1)

    async def hang(request: web.BaseRequest) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError

    url = await serve(hang)
    assert "did not respond within" in await note_of(calls.get_json(url))


async def test_a_port_without_a_listener_is_named(calls: OneProviderCalls) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "refused the connection" in await note_of(calls.get_json(f"http://127.0.0.1:{port}/"))


async def test_an_unknown_host_is_named(calls: OneProviderCalls) -> None:
    note = await note_of(calls.get_json("https://idp.invalid/"))
    assert "cannot be resolved" in note


async def test_a_broken_response_is_named(calls: OneProviderCalls) -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(replies.pop())
        writer.close()

    replies = [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"]
    replies += [b"nonsense\r\n\r\n", b""]
    async with await asyncio.start_server(garbage, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        notes = [await note_of(calls.post_form(url, {})) for _ in range(3)]
    assert "closed the connection" in notes[0]
    assert "not valid HTTP" in notes[1]
    assert "closed the connection" in notes[2]


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    return _tls(tmp_path, "idp.localhost")


def _tls(folder: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    pem, key = write_certificate(folder, *names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return context, pem


async def test_a_certificate_of_ca_file_is_accepted(
    client: OutgoingClient, serve: Serve, tls: tuple[ssl.SSLContext, Path]
) -> None:
    url = await serve(answering(), tls[0])
    assert (await client.calls_of("company", tls[1]).get_json(url)).status == 200


async def test_a_certificate_of_an_unknown_authority_is_refused(
    calls: OneProviderCalls, serve: Serve, tls: tuple[ssl.SSLContext, Path]
) -> None:
    note = await note_of(calls.get_json(await serve(answering(), tls[0])))
    assert "unknown authority" in note
    assert "login.providers.company.ca_file" in note


async def test_a_certificate_of_another_host_is_refused(
    client: OutgoingClient, serve: Serve, tmp_path: Path
) -> None:
    context, pem = _tls(tmp_path, "other.localhost")
    url = await serve(answering(), context)
    note = await note_of(client.calls_of("company", pem).get_json(url))
    assert "a certificate for another host name" in note


async def test_plain_http_on_a_tls_port_is_named(calls: OneProviderCalls, serve: Serve) -> None:
    url = (await serve(answering())).replace("http://", "https://")
    assert "does not accept a TLS connection" in await note_of(calls.get_json(url))


async def test_an_unreadable_ca_file_names_its_key(client: OutgoingClient, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    for text in (None, "nothing"):
        if text:
            file.write_text(text)
        note = await note_of(client.calls_of("company", file).get_json("https://localhost:1/"))
        assert note.startswith("login.providers.company.ca_file: ")


async def test_half_of_the_calls_are_kept_for_running_sessions(
    calls: OneProviderCalls, serve: Serve
) -> None:
    arrived, release, running = asyncio.Semaphore(0), asyncio.Event(), 0

    async def hang(request: web.BaseRequest) -> web.Response:
        nonlocal running
        running += 1
        arrived.release()
        await release.wait()
        return web.json_response({})

    url, kept = await serve(hang), limits.MAX_PROVIDER_CALLS - limits.MAX_LOGIN_CALLS
    logins = [asyncio.create_task(calls.get_json(url)) for _ in range(20)]
    for _ in range(limits.MAX_LOGIN_CALLS):
        await arrived.acquire()
    renewals = [asyncio.create_task(calls.get_json(url, renews=True)) for _ in range(kept)]
    for _ in range(kept):
        await arrived.acquire()
    await asyncio.sleep(0.05)
    assert running == limits.MAX_PROVIDER_CALLS
    release.set()
    assert {found.status for found in await asyncio.gather(*logins, *renewals)} == {200}


async def test_a_queue_of_logins_is_bounded(
    calls: OneProviderCalls, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "MAX_WAITING_CALLS", 2)
    release = asyncio.Event()

    async def hang(request: web.BaseRequest) -> web.Response:
        await release.wait()
        return web.json_response({})

    url = await serve(hang)
    waiting = [asyncio.create_task(calls.get_json(url)) for _ in range(limits.MAX_LOGIN_CALLS + 2)]
    await asyncio.sleep(0.1)
    assert "more than 2 logins wait" in await note_of(calls.get_json(url))
    release.set()
    await asyncio.gather(*waiting)


async def test_calls_are_counted_by_provider_and_outcome(
    client: OutgoingClient, calls: OneProviderCalls, serve: Serve
) -> None:
    await calls.get_json(await serve(answering()))
    await calls.get_json(await serve(answering(status=400)))
    await note_of(calls.get_json(await serve(answering(status=500))))
    (measured,) = client.counts.collect()
    assert measured.name == "authgw_provider_calls"
    assert measured.values == {
        ("company", "ok"): 1,
        ("company", "refused"): 1,
        ("company", "failed"): 1,
    }


async def test_without_a_call_nothing_is_opened(client: OutgoingClient) -> None:
    client.calls_of("company")
    assert client._session is None
