"""Requests of the load generators, their output, and the commands of Redis that they cause."""

import pytest

from bench.commands import may_be_of_check
from bench.http import content_length, fields
from bench.outcome import NotMeasured
from bench.wrk import WrkResult, read, request

WRK = """Running 2s test @ http://127.0.0.1:8080/authenticate
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.52ms    2.41ms  48.31ms   95.12%
    Req/Sec    27.50k     1.93k   29.46k    85.00%
  Latency Distribution
     50%  327.00us
     75%    1.29ms
     90%    1.97ms
     99%    1.02s
  54713 requests in 2.00s, 9.91MB read
Requests/sec:  27337.41
Transfer/sec:      4.95MB
"""


def test_wrk_is_read_in_milliseconds() -> None:
    assert read(WRK) == WrkResult(requests=54713, errors=0, rps=27337.41, p50=0.327, p99=1020.0)


def test_refused_and_broken_requests_are_errors() -> None:
    broken = "  Socket errors: connect 1, read 2, write 0, timeout 4\n"
    assert read(f"{WRK}{broken}  Non-2xx or 3xx responses: 10\n").errors == 17


def test_an_allowed_request_is_an_error_when_refusals_are_expected() -> None:
    assert read(f"{WRK}  Non-2xx or 3xx responses: 54713\n", denied=True).errors == 0
    assert read(f"{WRK}  Non-2xx or 3xx responses: 54710\n", denied=True).errors == 3


def test_unknown_output_of_wrk_is_rejected() -> None:
    with pytest.raises(NotMeasured, match="something else"):
        read("unable to connect")


def test_a_request_with_a_body_has_a_content_length() -> None:
    assert (
        request("GET", "/a", {"X-B": "c"})
        == b"GET /a HTTP/1.1\r\nHost: 127.0.0.1\r\nX-B: c\r\n\r\n"
    )
    posted = request("POST", "/a", {}, b"{}")
    assert posted.endswith(b"Content-Length: 2\r\n\r\n{}")


def test_parse_a_response_head() -> None:
    answer = b"HTTP/1.1 200 OK\r\nRemote-User: 1\r\nRemote-Name: \r\nContent-Length: 3\r\n\r\nabc"
    assert fields(answer) == {"remote-user": "1", "remote-name": "", "content-length": "3"}
    assert content_length(answer) == 3
    assert content_length(b"HTTP/1.1 204 No Content") == 0


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        (b'1339518083.107412 [0 127.0.0.1:60866] "GETEX" "authgw:{h}:s:sid" "PX" "1"', True),
        (b'1339518083.107412 [0 127.0.0.1:60866] "TIME"', True),
        (b'1339518083.107412 [0 lua] "PUBLISH" "authgw:ended" "sid"', False),
        (b'1339518083.107412 [0 127.0.0.1:60866] "EVALSHA" "f0" "1" "authgw:replicas"', False),
        (b'1339518083.107412 [0 127.0.0.1:60866] "PING"', False),
        (b"", False),
    ],
)
def test_commands_of_checks_are_counted(line: bytes, counts: bool) -> None:
    assert may_be_of_check(line) is counts
