"""The fault proxy used by other tests causes the faults that it promises."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.support.faultproxy import (
    BLACK_HOLE,
    LOST_REPLIES,
    NONE,
    REFUSED,
    RESET,
    Commands,
    FaultProxy,
    cut_replies,
    cut_requests,
    refusing,
    slow,
)

PING = b"*1\r\n$4\r\nPING\r\n"
INCR = b"*2\r\n$4\r\nINCR\r\n$7\r\ncounter\r\n"
GET = b"*2\r\n$3\r\nGET\r\n$7\r\ncounter\r\n"


@pytest.fixture
def proxy(redis_url: str) -> Iterator[FaultProxy]:
    with FaultProxy(int(redis_url.rpartition(":")[2].split("/")[0])) as made:
        with connected(made) as link:
            assert reply_to(link, b"*1\r\n$8\r\nFLUSHALL\r\n") == b"+OK\r\n"
        yield made


@contextmanager
def connected(proxy: FaultProxy) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", proxy.port), 5)) as link:
        yield link


def reply_to(link: socket.socket, command: bytes, patience: float = 5.0) -> bytes:
    link.sendall(command)
    link.settimeout(patience)
    return link.recv(65536)


@pytest.mark.sample
def test_everything_is_forwarded(proxy: FaultProxy) -> None:
    with connected(proxy) as link:
        assert reply_to(link, PING) == b"+PONG\r\n"
        assert proxy.connections == 1


def test_everything_is_late(proxy: FaultProxy) -> None:
    with proxy.disturbed(slow(0.1)), connected(proxy) as link:
        began = time.monotonic()
        assert reply_to(link, PING) == b"+PONG\r\n"
        assert time.monotonic() - began >= 0.2


def test_a_black_hole_delivers_everything_later(proxy: FaultProxy) -> None:
    with connected(proxy) as left, connected(proxy) as link:
        assert reply_to(left, PING) == reply_to(link, PING) == b"+PONG\r\n"
        with proxy.disturbed(BLACK_HOLE):
            left.sendall(INCR)
            left.close()
            with pytest.raises(TimeoutError):
                reply_to(link, INCR, 0.2)
        link.settimeout(5)
        assert link.recv(99)[:1] == b":"
        until = time.monotonic() + 5
        while reply_to(link, GET) != b"$1\r\n2\r\n":
            assert time.monotonic() < until, "the command of a sender that left is lost"


def test_a_command_with_a_lost_reply_was_executed(proxy: FaultProxy) -> None:
    with connected(proxy) as link:
        with proxy.disturbed(LOST_REPLIES), pytest.raises(TimeoutError):
            reply_to(link, INCR, 0.2)
        with pytest.raises(TimeoutError):
            reply_to(link, PING, 0.2)
    with connected(proxy) as link:
        assert reply_to(link, GET) == b"$1\r\n1\r\n"


def test_connections_are_refused_and_accepted_again(proxy: FaultProxy) -> None:
    with connected(proxy) as link:
        assert reply_to(link, PING) == b"+PONG\r\n"
        with proxy.disturbed(REFUSED):
            with pytest.raises(ConnectionResetError):
                reply_to(link, PING)
            with pytest.raises(ConnectionRefusedError), connected(proxy):
                pass
    with connected(proxy) as link:
        assert reply_to(link, PING) == b"+PONG\r\n"


def test_reset_at_once(proxy: FaultProxy) -> None:
    with proxy.disturbed(RESET), pytest.raises(ConnectionResetError), connected(proxy) as link:
        reply_to(link, PING)


def test_cut_in_either_direction(proxy: FaultProxy) -> None:
    with proxy.disturbed(cut_requests(len(INCR) + 3)), connected(proxy) as link:
        assert reply_to(link, INCR) == b":1\r\n"
        with pytest.raises(ConnectionResetError):
            reply_to(link, INCR)
    with proxy.disturbed(cut_replies(3)), connected(proxy) as link:
        assert reply_to(link, GET) == b"$1\r"
        with pytest.raises(ConnectionResetError):
            reply_to(link, PING)


def test_an_error_reply_to_every_command(proxy: FaultProxy) -> None:
    with connected(proxy) as link:
        with proxy.disturbed(refusing("LOADING Redis is loading the dataset in memory")):
            expected = b"-LOADING Redis is loading the dataset in memory\r\n"
            assert reply_to(link, PING + INCR) == expected * 2
        assert reply_to(link, PING) == b"+PONG\r\n"


def test_commands_are_counted_in_any_fragmentation() -> None:
    stream = PING + INCR + b"*2\r\n$4\r\nECHO\r\n$6\r\n*1\r\n$4\r\n"
    for size in (1, 3, 7, len(stream)):
        commands = Commands()
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert sum(commands.count(piece) for piece in pieces) == 3


def test_it_can_be_set_many_times(proxy: FaultProxy) -> None:
    for _ in range(50):
        proxy.set(REFUSED)
        proxy.set(NONE)
    with connected(proxy) as link:
        assert reply_to(link, PING) == b"+PONG\r\n"
