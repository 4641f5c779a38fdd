"""`authgw store copy` with sessions of identity providers: refresh tokens and sets go with them."""

import json
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from redis import Redis

from authgw.core.sessions import Session
from authgw.storage.kinds import StoreLocation
from authgw.storage.registry import kind_of
from tests.support.processes import authgw, prepare
from tests.support.provider_gateway import provider_gateway

pytestmark = pytest.mark.alone


async def stored(folder: Path, url: str, cookie: str) -> Session | None:
    """Return the session of a cookie as a store has it."""
    payload = cookie.split(".")[1]
    sid = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sid"]
    store = await kind_of(url).open(StoreLocation(url, folder, idle=86_400, session_max=2_592_000))
    try:
        return (await store.read(sid)).session
    finally:
        await store.close()


async def test_a_logout_at_the_provider_ends_a_session_that_was_copied_twice(
    tmp_path: Path, redis_url: str
) -> None:
    first, last = (redis_url.removesuffix("0") + number for number in "56")
    file = "embedded:///var/copy.db"
    for url in (first, last):
        Redis.from_url(url).flushdb()
    environ = {"AUTHGW_CACHE__URL": first}
    async with provider_gateway(tmp_path / "gateway", environ, refresh="15m") as site:
        gateway = site.gateway
        prepare(gateway.folder, "key", "init")
        gateway.start()
        gateway.wait_until_ready()
        cookie = await site.log_in()
        assert await site.check(cookie) == 200
        gateway.stop()
        before = await stored(gateway.folder, first, cookie)
        assert before is not None
        assert before.sealed
        for source, target in ((first, file), (file, last)):
            if source != file:
                Redis.from_url(source).delete("authgw:replicas")
            done = authgw(gateway.folder, "store", "copy", source, target, "--json")
            # The sets of the account, and of its session at the provider.
            assert json.loads(done.stdout) == {"copied": 1, "existing": 0, "records": 2}
        Redis.from_url(first).flushdb()
        assert await stored(gateway.folder, last, cookie) == before
        gateway.environ["AUTHGW_CACHE__URL"] = last
        gateway.start()
        gateway.wait_until_ready()
        assert await site.check(cookie) == 200
        assert await site.report_logout() == 200
        assert await site.check(cookie) == 401
