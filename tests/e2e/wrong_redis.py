"""A Redis with correct replies, except for a single command at a time."""

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hiredis

from authgw.storage.redis import counters, export, store
from authgw.storage.redis.commands import Script
from authgw.storage.redis.keys import index
from tests.support.processes import free_port

SCRIPTS: dict[str, Script] = {
    "add": store._ADD,
    "replace": store._REPLACE,
    "revoke": store._REVOKE,
    "revoke_all": store._REVOKE_ALL,
    "increment": counters._INCREMENT,
    "release": counters._RELEASE,
    "announce": counters._ANNOUNCE,
    "replicas": counters._REPLICAS,
    "kept": export._KEPT,
}
_NAMES = {
    hashlib.sha1(script.text.encode(), usedforsecurity=False).hexdigest(): name
    for name, script in SCRIPTS.items()
}
INFO = b"redis_version:7.2.0\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n"


class WrongRedis:
    """A server on loopback; `wrong` maps a command, or a script's name, to its raw wrong reply."""

    def __init__(self) -> None:
        self.port = free_port()
        self.wrong: dict[str, bytes] = {}
        self.given = 0  # wrong replies that were sent
        self.after = 0  # commands received on a connection after a wrong reply
        self.records: dict[bytes, bytes] = {}
        self.fixed = dict(_FIXED)
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @contextmanager
    def giving(self, command: str, reply: bytes) -> Iterator[None]:
        """Send this reply to the command within the block."""
        self.given = self.after = 0
        self.wrong = {command: reply}
        try:
            yield
        finally:
            self.wrong = {}

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        serving = asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self._loop.run_until_complete(serving)
        self._started.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser, spoilt = hiredis.Reader(), False
        while data := await reader.read(65536):
            if spoilt:
                self.after += 1
            parser.feed(data)
            while (words := parser.gets()) is not False:
                name = _name_of(words)
                if name in self.wrong:
                    self.given += 1
                    spoilt = True
                    writer.write(self.wrong[name])
                else:
                    writer.write(self._right(name, words))
            await writer.drain()
        writer.close()

    def _right(self, name: str, words: list[bytes]) -> bytes:
        handler: Callable[[list[bytes]], bytes] | None = getattr(self, f"_{name.lower()}", None)
        return self.fixed.get(name, b"-ERR not here\r\n") if handler is None else handler(words)

    def _time(self, _: list[bytes]) -> bytes:
        return array(bulk(b"%d" % time.time()), bulk(b"0"))

    def _ping(self, words: list[bytes]) -> bytes:
        return bulk(words[1])

    def _add(self, words: list[bytes]) -> bytes:
        self.records[words[3]] = words[5]
        return array()

    def _replace(self, words: list[bytes]) -> bytes:
        self.records[words[3]] = words[5]
        return array(b":1\r\n")

    def _getex(self, words: list[bytes]) -> bytes:
        return bulk(self.records.get(words[1]))

    def _zrange(self, words: list[bytes]) -> bytes:
        return array(*(bulk(sid) for sid in self._sids()))

    def _mget(self, words: list[bytes]) -> bytes:
        return array(*(bulk(self.records.get(key)) for key in words[1:]))

    def _scan(self, _: list[bytes]) -> bytes:
        hashes = {sid[:22].decode() for sid in self._sids()}
        keys = (bulk(index(one).encode()) for one in hashes)
        return array(bulk(b"0"), array(*keys))

    def _kept(self, _: list[bytes]) -> bytes:
        rows = (
            array(bulk(key[-44:]), bulk(record), bulk(b"1"), b":60000\r\n")
            for key, record in self.records.items()
        )
        return array(*rows)

    def _cluster(self, _: list[bytes]) -> bytes:
        node = array(bulk(b"127.0.0.1"), b":%d\r\n" % self.port, bulk(b"a" * 40))
        return array(array(b":0\r\n", b":16383\r\n", node))

    def _sentinel(self, _: list[bytes]) -> bytes:
        fields = {"name": "main", "ip": "127.0.0.1", "port": str(self.port), "flags": "master"}
        fields |= {"num-other-sentinels": "0", "quorum": "1"}
        parts = [bulk(word.encode()) for pair in fields.items() for word in pair]
        return array(b"%%%d\r\n%b" % (len(fields), b"".join(parts)))

    def _sids(self) -> list[bytes]:
        return [key[-44:] for key in self.records]


def bulk(text: bytes | None) -> bytes:
    return b"$-1\r\n" if text is None else b"$%d\r\n%b\r\n" % (len(text), text)


def array(*parts: bytes) -> bytes:
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


def _name_of(words: Any) -> str:
    first: str = words[0].decode().upper()
    if first == "EVALSHA":
        return _NAMES.get(words[1].decode(), first)
    return first


_FIXED = {
    "HELLO": b"%1\r\n$5\r\nproto\r\n:3\r\n",
    "CLIENT": b"+OK\r\n",
    "INFO": bulk(INFO),
    "CONFIG": b"%1\r\n$4\r\nsave\r\n$0\r\n\r\n",
    "SET": b"+OK\r\n",
    "PTTL": b":60000\r\n",
    "ZREM": b":1\r\n",
    "WAIT": b":1\r\n",
    "ROLE": b"*3\r\n$6\r\nmaster\r\n:1\r\n*0\r\n",
    "revoke": b":1\r\n",
    "revoke_all": b"*0\r\n",
    "increment": b"*2\r\n:1\r\n:60000\r\n",
    "release": b":1\r\n",
    "announce": b"*3\r\n:1\r\n$0\r\n\r\n:1\r\n",
    "replicas": b"*0\r\n",
    "EVAL": b":0\r\n",
    "EVALSHA": b":0\r\n",
}
