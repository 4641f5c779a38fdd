"""Commands to the masters that hold their keys, with a timeout for each operation.

A command is sent again only after a reply which says that the server has not executed it.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from authgw.core.errors import StoreUnavailableError
from authgw.storage.redis.errors import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    RedisError,
    TryAgainError,
    without_frames,
)
from authgw.storage.redis.link import COMMUNICATION_ERRORS, RedisLink
from authgw.storage.redis.node import RedisNode
from authgw.storage.redis.replies import (
    Request,
    Sendable,
    Shape,
    UnexpectedReplyError,
    Words,
    is_ok,
)

OPERATION_TIMEOUT = 0.25  # seconds, including the wait for a connection
_MAX_ATTEMPTS = 8  # for each command, as the nodes of a Cluster may redirect it in a circle
_MIGRATION_DELAY = 0.02  # seconds until a command to a slot that is being moved is sent again
_ASKING = Request(("ASKING",), is_ok)


class Servers(Protocol):
    """The masters of a Redis; if `replicated`, a write is confirmed once a replica has it."""

    replicated: bool

    @property
    def is_discovered(self) -> bool:
        """True if the masters of all keys are known."""

    async def discover(self) -> None:
        """Wait until the masters of all keys are known.

        Raises:
            COMMUNICATION_ERRORS: no node names them.
        """

    def holder(self, key: str) -> RedisNode:
        """Return the master that holds this key.

        Raises:
            RedisError: no master holds it now.
        """

    def redirected(self, error: AskError, source: RedisNode) -> RedisNode:
        """Return the master that a redirection names; store the new holder after MOVED."""

    def known(self) -> Sequence[RedisNode]:
        """Return the servers that are known now; may be called from any thread."""

    def report_failure(self) -> None:
        """Report that a master did not reply, or is not a master any more."""

    async def masters(self) -> Sequence[RedisNode]:
        """Return all masters.

        Raises:
            COMMUNICATION_ERRORS: no node names them.
        """

    def subscribe(self, on_message: Callable[[bytes], None]) -> RedisLink:
        """Return a link for SUBSCRIBE that receives what is published on any master."""

    async def close(self) -> None:
        """Close all connections."""


class SingleMaster:
    """A single server, or the master that Sentinels name."""

    def __init__(self, server: RedisNode, *, replicated: bool = False) -> None:
        self.replicated = replicated
        self._server = server

    @property
    def is_discovered(self) -> bool:
        """True: the server is known."""
        return True

    async def discover(self) -> None:
        """Do nothing: the server is known."""

    def holder(self, key: str) -> RedisNode:
        """Return the server."""
        return self._server

    def redirected(self, error: AskError, source: RedisNode) -> RedisNode:
        """Return the server: `check` refuses a node of a Cluster, which alone redirects."""
        return self._server

    def known(self) -> Sequence[RedisNode]:
        """Return the server."""
        return (self._server,)

    def report_failure(self) -> None:
        """Do nothing: the next connection determines the master."""

    async def masters(self) -> Sequence[RedisNode]:
        """Return the server."""
        return (self._server,)

    def subscribe(self, on_message: Callable[[bytes], None]) -> RedisLink:
        """See `Servers.subscribe`."""
        return self._server.subscribe(on_message)

    async def close(self) -> None:
        """See `Servers.close`."""
        await self._server.close()


class Script:
    """A Lua script; `accepts` validates its replies.

    Unless `declares_all`, it uses more keys of the slot than it declares.
    """

    def __init__(self, text: str, accepts: Shape, *, declares_all: bool = True) -> None:
        self.text = text
        self.accepts = accepts
        self.declares_all = declares_all
        self._sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def on(self, *keys: str, args: Sequence[str | int] = ()) -> "Command":
        """Return the command that runs the script on these keys of a single slot."""
        words = ("EVALSHA", self._sha, len(keys), *keys, *args)
        return Command(keys[0], words, self.accepts, self)


class Command(NamedTuple):
    """A command for the holder of `key`; `accepts` validates its replies.

    `script` is set if the command runs a script.
    """

    key: str
    words: Words
    accepts: Shape
    script: Script | None = None


@dataclass(slots=True)
class StoreReply:
    """A command and its reply, or the exception that took the reply's place.

    `asking`: the command is sent after ASKING, because its slot is being moved.
    """

    command: Command
    words: Words
    server: RedisNode | None = None
    asking: bool = False
    reply: Any = None

    def now(self, here: float) -> float:
        """Return the server's clock in Unix seconds, if the command was sent with `timed`.

        `here` is the boot-time clock of this machine.
        """
        return self.server.clock.at(here) if self.server else 0.0

    def value(self) -> Any:
        """Return the reply.

        Raises:
            StoreUnavailableError: no reply was received; the effect of the command is unknown.
        """
        if isinstance(self.reply, Exception):
            raise unavailable(self.reply)
        return self.reply


class CommandRunner:
    """Sends commands to a Redis; `timeout` of each call in seconds, or OPERATION_TIMEOUT."""

    def __init__(self, servers: Servers, timeout: float | None = None) -> None:
        self._servers = servers
        self._timeout = timeout

    async def execute(self, command: Command, *, confirmed: bool = False) -> Any:
        """Return the reply to a command; `confirmed` waits until a replica has its write.

        Raises:
            StoreUnavailableError: the effect of the command is unknown.
        """
        if not self._servers.is_discovered or (confirmed and self._servers.replicated):
            (result,) = await self.replies([command], confirmed=confirmed)
            return result.value()
        # Almost every command: its server is known, and executes it at the first attempt.
        deadline, server = self._deadline(), None
        try:
            server = self._servers.holder(command.key)
            (reply,) = await server.execute([command], deadline)
        except COMMUNICATION_ERRORS as error:
            self._servers.report_failure()
            reply = without_frames(error)
        if not isinstance(reply, Exception):
            return reply
        result = StoreReply(command, command.words, server, reply=reply)
        if self._must_be_resent(result):
            await self._resend([result], deadline, confirmed=False, timed=False)
        return result.value()

    async def execute_all(
        self, commands: Sequence[Command], *, confirmed: bool = False
    ) -> list[Any]:
        """Return the replies to independent commands, in a round trip to each server.

        Raises:
            StoreUnavailableError: the effect of some of them is unknown.
        """
        return [result.value() for result in await self.replies(commands, confirmed=confirmed)]

    async def replies(
        self, commands: Sequence[Command], *, confirmed: bool = False, timed: bool = False
    ) -> list[StoreReply]:
        """As `execute_all`, with errors in place of replies; `timed` reads the servers' clocks."""
        deadline = self._deadline()
        results = [StoreReply(command, command.words) for command in commands]
        pending = await self._attempt(results, deadline, confirmed=confirmed, timed=timed)
        if pending:
            await self._resend(pending, deadline, confirmed=confirmed, timed=timed)
        return results

    async def masters(self) -> Sequence[RedisNode]:
        """Return all masters.

        Raises:
            StoreUnavailableError: no node names them.
        """
        try:
            async with asyncio.timeout_at(self._deadline()):
                return await self._servers.masters()
        except COMMUNICATION_ERRORS as error:
            raise unavailable(error) from None

    async def execute_on(self, master: RedisNode, request: Request) -> Any:
        """Return the reply of this master, irrespective of keys and slots.

        Raises:
            StoreUnavailableError: no reply was received.
        """
        result = StoreReply(Command("", *request), request.words, master)
        await self._send(master, [result], self._deadline(), False, False)
        return result.value()

    async def _resend(
        self, pending: list[StoreReply], deadline: float, *, confirmed: bool, timed: bool
    ) -> None:
        """Send commands again that were sent once."""
        for _ in range(_MAX_ATTEMPTS - 1):
            if any(result.server is None for result in pending):
                await asyncio.sleep(_MIGRATION_DELAY)
            pending = await self._attempt(pending, deadline, confirmed=confirmed, timed=timed)
            if not pending:
                return

    async def _attempt(
        self, pending: list[StoreReply], deadline: float, *, confirmed: bool, timed: bool
    ) -> list[StoreReply]:
        """Send commands; return those that must be sent again."""
        if self._servers.is_discovered or await self._discover(pending, deadline):
            waits = confirmed and self._servers.replicated
            sends = [
                self._send(server, part, deadline, waits, timed)
                for server, part in self._by_server(pending).items()
            ]
            if len(sends) == 1:
                await sends[0]
            else:
                await asyncio.gather(*sends)
        return [
            result
            for result in pending
            if isinstance(result.reply, Exception) and self._must_be_resent(result)
        ]

    def _deadline(self) -> float:
        timeout = OPERATION_TIMEOUT if self._timeout is None else self._timeout
        return asyncio.get_running_loop().time() + timeout

    async def _discover(self, pending: Sequence[StoreReply], deadline: float) -> bool:
        """Wait for the masters; return False after an error, which becomes every reply."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._servers.discover()
        except COMMUNICATION_ERRORS as error:
            for result in pending:
                result.reply = without_frames(error)
            return False
        return True

    def _by_server(self, pending: Sequence[StoreReply]) -> dict[RedisNode, list[StoreReply]]:
        """Group by server; a command without a known server gets the error as its reply."""
        by_server: dict[RedisNode, list[StoreReply]] = {}
        for result in pending:
            try:
                result.server = result.server or self._servers.holder(result.command.key)
                by_server.setdefault(result.server, []).append(result)
            except RedisError as error:
                result.reply = without_frames(error)
        return by_server

    async def _send(
        self,
        server: RedisNode,
        part: Sequence[StoreReply],
        deadline: float,
        confirmed: bool,
        timed: bool,
    ) -> None:
        requests: list[Sendable] = []
        for result in part:
            command = result.command
            if result.asking:
                requests.append(_ASKING)
            is_same = result.words is command.words
            requests.append(command if is_same else Request(result.words, command.accepts))
        try:
            if confirmed:
                replies = await server.execute_confirmed(requests, deadline)
            else:
                replies = await server.execute(requests, deadline, timed=timed)
        except COMMUNICATION_ERRORS as error:
            self._servers.report_failure()
            replies = [without_frames(error)] * len(requests)
        remaining = iter(replies)
        for result in part:
            if result.asking:
                next(remaining)
            result.reply = next(remaining)

    def _must_be_resent(self, result: StoreReply) -> bool:
        """Return True if the error says that the command was not executed; prepare to resend it."""
        reply, script = result.reply, result.command.script
        if isinstance(reply, NoScriptError) and script and result.words[0] == "EVALSHA":
            result.words = ("EVAL", script.text, *result.words[2:])
        elif isinstance(reply, AskError) and (isinstance(reply, MovedError) or _may_follow(script)):
            assert result.server is not None  # noqa: S101  it has replied
            result.asking = not isinstance(reply, MovedError)
            result.server = self._servers.redirected(reply, result.server)
        elif isinstance(reply, AskError | TryAgainError):
            result.asking, result.server = False, None
        else:
            if isinstance(reply, ClusterDownError):
                self._servers.report_failure()
            return False
        return True


def _may_follow(script: Script | None) -> bool:
    # While a slot is being moved, its new holder treats keys that it does not have yet as absent.
    # It refuses commands with several declared keys then, but a script could not detect a missing
    # key that it does not declare.
    return script is None or script.declares_all


def unavailable(error: Exception) -> StoreUnavailableError:
    """Return the exception to raise from the store for an error of a server or the network."""
    detail = str(error) if isinstance(error, UnexpectedReplyError) else type(error).__name__
    failure = StoreUnavailableError(f"Redis: {detail}")
    # As in an `except`, with `from None`: metrics count failures by the original exception.
    failure.__context__, failure.__suppress_context__ = error, True
    return failure


def milliseconds(seconds: float) -> int:
    """Convert a duration for Redis; the minimum is 1 ms."""
    return max(1, int(seconds * 1000))
