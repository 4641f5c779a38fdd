"""Mistakes of an operator: the log names what to change, and no page has details."""

import ssl
from pathlib import Path

import pytest

from authgw.core.reasons import CAUSES
from tests.support.certificate import write_certificate
from tests.support.clocks import MovableClock
from tests.support.gateway import MakeGateway
from tests.support.hostile_provider import HostileProvider, hostile_provider
from tests.support.hostile_scene import HostileScene, hostile_scene, refused


def served_with(pem: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem, key)
    return context


async def reason_of_failure(scene: HostileScene) -> str:
    """Start a login that fails with 503; return the sentence in the log, which no page shows."""
    response = await scene.start()
    text = await response.text()
    assert (response.status, scene.last.reason) == (503, "provider_unavailable")
    sentence = scene.last.sentence
    assert scene.op.url not in text
    assert "login.providers" not in text
    return sentence


async def test_a_certificate_of_an_unknown_authority(make_gateway: MakeGateway) -> None:
    pem, key = write_certificate(make_gateway.folder / "tls", "localhost")
    async with hostile_provider(served_with(pem, key)) as op:
        scene = await hostile_scene(make_gateway, op)
        assert "login.providers.company.ca_file" in await reason_of_failure(scene)
        assert "login.providers" not in scene.jar.text
        scene = await hostile_scene(make_gateway, op, ca_file=str(pem))
        assert (await scene.log_in()).status == 303


async def test_a_certificate_of_another_host(make_gateway: MakeGateway) -> None:
    pem, key = write_certificate(make_gateway.folder / "tls", "idp.example.com")
    async with hostile_provider(served_with(pem, key)) as op:
        scene = await hostile_scene(make_gateway, op, ca_file=str(pem))
        assert "another host name" in await reason_of_failure(scene)


async def test_a_port_where_nothing_listens(make_gateway: MakeGateway, op: HostileProvider) -> None:
    scene = await hostile_scene(make_gateway, op, issuer="http://127.0.0.1:9")
    assert "127.0.0.1:9" in await reason_of_failure(scene)


async def test_an_issuer_with_a_slash_too_many(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await hostile_scene(make_gateway, op, issuer=f"{op.issuer}/")
    sentence = await reason_of_failure(scene)
    assert "issuer" in sentence
    assert op.issuer in sentence, "the log shows the issuer to write"


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_is_off(
    make_gateway: MakeGateway, op: HostileProvider, hours: int
) -> None:
    clock = MovableClock()
    clock.move(3600 * hours)
    scene = await hostile_scene(make_gateway, op, clock=clock)
    cause = "provider_expired" if hours > 0 else "provider_not_yet_valid"
    await refused(scene, await scene.log_in(), 400, "flow_invalid", cause)
    assert "clock" in CAUSES[cause]


async def test_a_claim_that_the_provider_does_not_send(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await hostile_scene(make_gateway, op, subject="employee_number", bind="first")
    await refused(scene, await scene.log_in(), 403, "provider_refused", "name_missing")
    assert "employee_number" not in scene.jar.text


async def test_scopes_that_the_provider_does_not_permit(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    op.callback = {"code": None, "error": "invalid_scope"}
    scene = await hostile_scene(make_gateway, op)
    response = await scene.log_in()
    assert response.status == 503
    assert "login.providers.company.scopes" in scene.last.sentence
    assert "login.providers" not in scene.jar.text


async def test_a_callback_on_another_login_host_is_refused(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    pages = [
        {"url": "https://auth.example.com/login", "cookie_domain": "example.com"},
        {"url": "https://auth.example.net/login", "cookie_domain": "example.net"},
    ]
    login = {"url": None, "cookie_domain": None, "domains": pages}  # in place of a single page
    scene = await hostile_scene(make_gateway, op, login=login)
    address = await scene.at_provider(await scene.start())
    scene.jar.origin = "https://auth.example.net"
    other = address.replace("https://auth.example.com", scene.jar.origin)
    await refused(scene, await scene.back(other), 400, "flow_invalid", "flow_site")
    assert "/token" not in op.requests
