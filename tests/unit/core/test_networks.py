"""Addresses in all spellings: of peers, in X-Forwarded-For, in configured networks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core.networks import (
    UNIX,
    UNKNOWN,
    TrustedProxies,
    checked_entry,
    counted_network,
    entry_for,
)

PROXIES = TrustedProxies.parse(("127.0.0.0/8", "10.0.0.0/8", "unix"))


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7\t", "203.0.113.7"),
        ("203.0.113.7:5678", "203.0.113.7"),
        ('"203.0.113.7:80"', "203.0.113.7"),
        ("[203.0.113.7]:80", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0:0::0001", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ('"[2001:db8::1]"', "2001:db8::1"),
        ('"[2001:db8::1]:47011"', "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:cb00:7107", "203.0.113.7"),
        ("[::FFFF:203.0.113.7]:80", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:80", "fe80::1"),
        ("64:ff9b::203.0.113.7", "64:ff9b::cb00:7107"),
        ("6.6.6.6, 203.0.113.7", "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7, 10.1.1.1:80, [::ffff:127.0.0.1]", "203.0.113.7"),
        ("junk, 203.0.113.7", "203.0.113.7"),
        (", 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, unix:", "203.0.113.7"),
        ("203.0.113.7, unix", "203.0.113.7"),
        ("6.6.6.6, " * 500 + "203.0.113.7", "203.0.113.7"),
        ("10.0.0.5, 10.0.0.6", "10.0.0.5"),
    ],
)
def test_client_addresses_in_all_spellings(written: str, address: str) -> None:
    for peer in ("127.0.0.1", "::ffff:127.0.0.1", UNIX):
        assert PROXIES.client_address(peer, (written,)) == address
        assert PROXIES.client_address(peer, ("6.6.6.6, 7.7.7.7", written)) == (
            "7.7.7.7" if address == "10.0.0.5" else address
        )


UNREADABLE = [
    *("unknown", "_hidden", "_SEVKISEK", "junk", "", " ", ",", "203.0.113.7,", "203.0.113.7, ,"),
    *("010.1.1.1", "16909060", "0x7f.0.0.1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4/8"),
    *("localhost", "for=1.2.3.4", "1.2.3.4:", "1.2.3.4:123456", "[2001:db8::1", "[::g]", '"', '""'),
    *("203.0.113.7, unknown", "203.0.113.7, junk, 127.0.0.1", "127.0.0.1\x00", "::1%", "1.2.3.4;"),
    *("fe80::1%" + "z" * 99, "unix:/tmp/x", "10.1.1.1 10.2.2.2", "\xb2.1.1.1", "1" * 99),
]


@pytest.mark.parametrize("written", UNREADABLE)
def test_an_invalid_address_is_unknown_and_never_the_proxy(written: str) -> None:
    everywhere = TrustedProxies.parse(("0.0.0.0/0", "::/0", "unix"))
    for peer in ("127.0.0.1", "10.1.1.1", UNIX):
        address = PROXIES.client_address(peer, (written,))
        assert address == UNKNOWN
        assert not everywhere.trusts(address)
    assert counted_network(UNKNOWN) == UNKNOWN


def test_only_trusted_peers_set_the_client_address() -> None:
    assert PROXIES.client_address("192.0.2.1", ("6.6.6.6",)) == "192.0.2.1"
    assert PROXIES.client_address("::ffff:192.0.2.1", ()) == "192.0.2.1"
    assert PROXIES.client_address("127.0.0.1", ()) == "127.0.0.1"
    assert PROXIES.client_address(UNIX, ()) == UNIX
    tcp_only = TrustedProxies.parse(("127.0.0.1",))
    assert tcp_only.client_address(UNIX, ("6.6.6.6",)) == UNIX
    # A client must not be mistaken for a peer of the socket.
    assert tcp_only.client_address("127.0.0.1", ("unix",)) == UNKNOWN


@pytest.mark.parametrize(
    ("entry", "inside", "outside"),
    [
        (
            "10.0.0.0/8",
            ["10.1.2.3", "::ffff:10.1.2.3", "[::ffff:a01:203]"],
            ["11.0.0.1", "::a01:203"],
        ),
        ("10.0.0.0/255.0.0.0", ["10.1.2.3"], ["11.0.0.1"]),
        ("192.0.2.1", ["192.0.2.1"], ["192.0.2.2"]),
        (" 192.0.2.1 ", ["192.0.2.1"], ["192.0.2.2"]),
        ("::ffff:10.0.0.0/104", ["10.1.2.3", "::ffff:10.1.2.3"], ["11.0.0.1"]),
        ("::ffff:192.0.2.1", ["192.0.2.1"], ["192.0.2.2"]),
        ("::1", ["::1", "[::1]"], ["127.0.0.1", "::2"]),
        ("[::1]", ["::1"], ["::2"]),
        ("[2001:db8::]/32", ["2001:DB8:1::1"], ["2001:db9::1"]),
        ("FE80::/10", ["fe80::1%eth0"], ["2001:db8::1"]),
        ("::/0", ["2001:db8::1"], ["10.1.2.3", UNKNOWN, UNIX]),
        ("0.0.0.0/0", ["10.1.2.3"], ["2001:db8::1", UNKNOWN, UNIX]),
        ("unix", [UNIX], ["127.0.0.1", UNKNOWN]),
        (" unix", [UNIX], ["127.0.0.1"]),
    ],
)
def test_configured_networks(entry: str, inside: list[str], outside: list[str]) -> None:
    networks = TrustedProxies.parse((entry,))
    assert checked_entry(entry) == entry
    assert [address for address in inside + outside if networks.trusts(address)] == inside
    assert networks.includes_everyone == (entry in ("0.0.0.0/0", "::/0"))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("10.0.0.5/8", "write 10.0.0.0/8 for the whole network, or 10.0.0.5"),
        ("2001:db8::1/32", "write 2001:db8::/32 for the whole network, or 2001:db8::1"),
        ("[2001:db8::1]/32", "write 2001:db8::/32"),
        ("10.0.0.0-10.0.0.9", "is not a network: write an IP address"),
        ("10.*", "is not a network"),
        ("localhost", "is not a network"),
        ("", "is not a network"),
        ("10.0.0.1:80", "is not a network"),
        ("10.0.0.0/33", "is not a network"),
        ("010.0.0.1", "is not a network"),
        ("UNIX", "is not a network"),
        ("fe80::1%eth0", "has a zone"),
    ],
)
def test_invalid_networks_are_refused(entry: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        checked_entry(entry)


def test_the_entry_for_a_peer_is_valid() -> None:
    for peer in ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1%eth0", UNIX):
        assert TrustedProxies.parse((entry_for(peer),)).trusts(peer)


@given(st.text(), st.text())
def test_any_header_is_parsed_and_never_yields_the_proxy(first: str, last: str) -> None:
    address = PROXIES.client_address("127.0.0.1", (first, last))
    assert address != "127.0.0.1" or "127.0.0.1" in first + last
