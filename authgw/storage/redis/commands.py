"""Commands to the masters that hold their keys: each operation within one deadline, nothing sent
twice unless the server said that it did nothing.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from redis.asyncio.client import PubSub
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    RedisError,
    TryAgainError,
)

from authgw.core.errors import StoreUnavailableError
from authgw.storage.clock import boottime
from authgw.storage.redis.node import AWAY, RedisNode
from authgw.storage.redis.replies import Request, Shape, UnexpectedReplyError, Words, is_ok

OPERATION_TIMEOUT = 0.25  # seconds, including the wait for a connection
# How often one command is sent on. A Cluster whose nodes send it round is asked again later.
_MOST_SENDINGS = 8
_MOVING = 0.02  # seconds until a slot that is just being moved is asked again
_ASKING = Request(("ASKING",), is_ok)


class Servers(Protocol):
    """The masters of one Redis. `replicated`: a write counts once a replica has it."""

    replicated: bool

    async def find(self) -> None:
        """Return once it is known who holds what.

        Raises:
            one of AWAY: nobody says so.
        """

    def holder(self, key: str) -> RedisNode:
        """The master that holds this key.

        Raises:
            RedisError: none does now.
        """

    def other(self, error: AskError, told_by: RedisNode) -> RedisNode:
        """The master that a redirection names; MOVED is remembered."""

    def known(self) -> Sequence[RedisNode]:
        """The servers that are known now; any thread may ask."""

    def failed(self) -> None:
        """Take note that a master did not answer, or answered that it is none."""

    async def all(self) -> Sequence[RedisNode]:
        """Every master."""

    def pubsub(self) -> PubSub:
        """A listener to what is published on any of them."""

    async def close(self) -> None:
        """Close every connection."""


class OneServer:
    """A single server, or the master that Sentinels name; its pool follows that one."""

    def __init__(self, server: RedisNode, *, replicated: bool = False) -> None:
        self.replicated = replicated
        self._server = server

    async def find(self) -> None:
        """It is known."""

    def holder(self, key: str) -> RedisNode:
        """The one."""
        return self._server

    def other(self, error: AskError, told_by: RedisNode) -> RedisNode:
        """The one: `check` refuses a node of a Cluster."""
        return self._server

    def known(self) -> Sequence[RedisNode]:
        """The one."""
        return (self._server,)

    def failed(self) -> None:
        """The next connection finds out who is master."""

    async def all(self) -> Sequence[RedisNode]:
        """The one."""
        return (self._server,)

    def pubsub(self) -> PubSub:
        """A listener to what is published on it."""
        return self._server.client.pubsub()

    async def close(self) -> None:
        """Close every connection."""
        await self._server.client.aclose()


class Script:
    """A Lua script; `takes` accepts its replies.

    Unless `declares_all`, it touches more keys of a slot than it declares.
    """

    def __init__(self, text: str, takes: Shape, *, declares_all: bool = True) -> None:
        self.text = text
        self.takes = takes
        self.declares_all = declares_all
        self._sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def on(self, *keys: str, args: Sequence[str | int] = ()) -> "Command":
        """The command that runs it on these keys, which are in one slot."""
        words = ("EVALSHA", self._sha, len(keys), *keys, *args)
        return Command(keys[0], words, self.takes, self)


class Command(NamedTuple):
    """What is sent to the holder of `key`; `takes` accepts its replies.

    `script` is the one that it runs.
    """

    key: str
    words: Words
    takes: Shape
    script: Script | None = None


@dataclass(slots=True)
class StoreReply:
    """What a server made of a command: a reply, or an exception that says why there is none."""

    command: Command
    words: Words
    server: RedisNode | None = None
    asking: bool = False
    reply: Any = None

    @property
    def requests(self) -> tuple[Request, ...]:
        """What is sent for it."""
        return (_ASKING,) * self.asking + (Request(self.words, self.command.takes),)

    @property
    def now(self) -> float:
        """The server's clock, in Unix seconds, if the commands were sent with `timed`."""
        return self.server.clock.at(boottime()) if self.server else 0.0

    def value(self) -> Any:
        """The reply.

        Raises:
            StoreUnavailableError: there is none; whether the command did something is unknown.
        """
        if isinstance(self.reply, Exception):
            raise unavailable(self.reply)
        return self.reply


class Calls:
    """Commands to a Redis; each call is limited to `patience` seconds or OPERATION_TIMEOUT."""

    def __init__(self, servers: Servers, patience: float | None = None) -> None:
        self._servers = servers
        self._patience = patience

    async def one(self, command: Command, *, confirmed: bool = False) -> Any:
        """The reply to one command; `confirmed`: once a replica has what it wrote.

        Raises:
            StoreUnavailableError: whether it did something is unknown.
        """
        return (await self.answers([command], confirmed=confirmed))[0].value()

    async def each(self, commands: Sequence[Command], *, confirmed: bool = False) -> list[Any]:
        """The replies to independent commands, one round trip to each server that is asked.

        Raises:
            StoreUnavailableError: which of them did something is unknown.
        """
        return [answer.value() for answer in await self.answers(commands, confirmed=confirmed)]

    async def answers(
        self, commands: Sequence[Command], *, confirmed: bool = False, timed: bool = False
    ) -> list[StoreReply]:
        """As `each`, with what failed in its place; `timed`: with the clock of each server."""
        until = self._until()
        answers = left = [StoreReply(command, command.words) for command in commands]
        for _ in range(_MOST_SENDINGS):
            parts = await self._parts(left, until)
            sendings = [
                self._send(server, part, until, confirmed and self._servers.replicated, timed)
                for server, part in parts.items()
            ]
            if len(sendings) == 1:
                await sendings[0]
            else:
                await asyncio.gather(*sendings)
            left = [answer for answer in left if self._is_to_be_sent_again(answer)]
            if not left:
                break
            if any(answer.server is None for answer in left):
                await asyncio.sleep(_MOVING)
        return answers

    async def masters(self) -> Sequence[RedisNode]:
        """Every master.

        Raises:
            StoreUnavailableError: nobody says which there are.
        """
        try:
            async with asyncio.timeout_at(self._until()):
                return await self._servers.all()
        except AWAY as error:
            raise unavailable(error) from None

    async def at(self, master: RedisNode, request: Request) -> Any:
        """What this master replies, whoever holds what.

        Raises:
            StoreUnavailableError: nothing.
        """
        answer = StoreReply(Command("", *request), request.words, master)
        await self._send(master, [answer], self._until(), False, False)
        return answer.value()

    def _until(self) -> float:
        patience = OPERATION_TIMEOUT if self._patience is None else self._patience
        return asyncio.get_running_loop().time() + patience

    async def _parts(
        self, left: Sequence[StoreReply], until: float
    ) -> dict[RedisNode, list[StoreReply]]:
        """Who is sent what; a command whose server nobody knows has its answer now."""
        parts: dict[RedisNode, list[StoreReply]] = {}
        try:
            async with asyncio.timeout_at(until):
                await self._servers.find()
        except AWAY as error:
            for answer in left:
                answer.reply = error
            return parts
        for answer in left:
            try:
                answer.server = answer.server or self._servers.holder(answer.command.key)
                parts.setdefault(answer.server, []).append(answer)
            except RedisError as error:
                answer.reply = error
        return parts

    async def _send(
        self,
        server: RedisNode,
        part: Sequence[StoreReply],
        until: float,
        confirmed: bool,
        timed: bool,
    ) -> None:
        sent = [request for one in part for request in one.requests]
        try:
            async with asyncio.timeout_at(until):
                if confirmed:
                    replies = await server.tell(sent, until)
                else:
                    replies = await server.ask(sent, timed=timed)
        except AWAY as error:
            self._servers.failed()
            replies = [error] * len(sent)
        following = iter(replies)
        for answer in part:
            if answer.asking:
                next(following)
            answer.reply = next(following)

    def _is_to_be_sent_again(self, answer: StoreReply) -> bool:
        """Whether the server did nothing and another way is known."""
        reply, script = answer.reply, answer.command.script
        if not isinstance(reply, Exception):
            return False
        if isinstance(reply, NoScriptError) and script and answer.words[0] == "EVALSHA":
            answer.words = ("EVAL", script.text, *answer.words[2:])
        elif isinstance(reply, AskError) and (isinstance(reply, MovedError) or _may_follow(script)):
            assert answer.server is not None  # noqa: S101  it has replied
            answer.asking = not isinstance(reply, MovedError)
            answer.server = self._servers.other(reply, answer.server)
        elif isinstance(reply, AskError | TryAgainError):
            answer.asking, answer.server = False, None
        else:
            if isinstance(reply, ClusterDownError):
                self._servers.failed()
            return False
        return True


def _may_follow(script: Script | None) -> bool:
    # While a slot is being moved its new holder takes a key that has not come yet for absent. It
    # refuses that for declared keys if there are several; of others a script would not know.
    return script is None or script.declares_all


def unavailable(error: Exception) -> StoreUnavailableError:
    """What the store's callers are told of this."""
    said = str(error) if isinstance(error, UnexpectedReplyError) else type(error).__name__
    return StoreUnavailableError(f"Redis: {said}")


def milliseconds(seconds: float) -> int:
    """A duration as Redis takes it; the shortest is one millisecond."""
    return max(1, int(seconds * 1000))
