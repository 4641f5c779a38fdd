"""The target of a request to the gateway itself, in events."""

import pytest

from authgw.core.audit import Target
from authgw.forward_auth.own_target import own_target


@pytest.mark.parametrize(
    ("raw", "hosts", "target"),
    [
        ("/login?rd=secret", [b"Auth.example.com:443"], ("auth.example.com", "/login")),
        ("/refresh", [b"[::1]:8080"], ("[::1]", "/refresh")),
        ("/a%0Ab?x?y", [b"a.test"], ("a.test", "/a%0Ab")),
        ("/x", [b"a b"], ("", "/x")),
        ("/x", [], ("", "/x")),
        ("/x", [b"a.test", b"b.test"], ("", "/x")),
        ("http://user:secret@a.test/x?y", [b"a.test"], ("a.test", "")),
        ("*", [b"a.test"], ("a.test", "")),
    ],
)
def test_it_has_neither_query_nor_credentials(
    raw: str, hosts: list[bytes], target: tuple[str, str]
) -> None:
    headers = tuple((b"Host", host) for host in hosts)
    assert own_target("GET", raw, headers) == Target("GET", *target)
