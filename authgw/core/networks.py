"""Address ranges: trusted proxies, and the address of a client behind them."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from authgw.core.limits import MAX_ADDRESS_LENGTH, MAX_CACHED_ADDRESSES

UNIX = "unix"
# Address of a client if its nearest proxy did not write a valid address: in no network.
UNKNOWN = "unknown"
# `[2001:db8::1]:443`, `192.0.2.1:443`, and both without a port; a zone is ignored.
_SPELLING = re.compile(
    r"\[(?P<bracketed>[0-9A-Fa-f:.]+)(?:%[^\]]+)?\](?::[0-9]{1,5})?"
    r"|(?P<dotted>[0-9]+\.[0-9.]+)(?::[0-9]{1,5})?"
    r"|(?P<plain>[0-9A-Fa-f:.]+)(?:%.+)?"
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_EVERY = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
_COUNTED_BITS = 64  # of an IPv6 address

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The networks of `server.trusted_proxies`; an empty list trusts no peer."""

    networks: tuple[Network, ...]
    unix: bool = False

    @classmethod
    def parse(cls, entries: tuple[str, ...]) -> "TrustedProxies":
        """Parse networks, addresses and the entry `unix`.

        Raises:
            ValueError: an entry is not a network, an address or `unix`.
        """
        named = [entry.strip() for entry in entries]
        return cls(tuple(network_of(entry) for entry in named if entry != UNIX), UNIX in named)

    @property
    def includes_everyone(self) -> bool:
        """Return True if these networks include all addresses of IPv4 or of IPv6."""
        return any(network in _EVERY for network in self.networks)

    def trusts(self, peer: str) -> bool:
        """Return True if this peer (a valid address, or `unix`) is in these networks."""
        if peer == UNIX:
            return self.unix
        address = _address(peer)
        return address is not None and any(address in network for network in self.networks)

    def client_address(self, peer: str, forwarded_for: tuple[str, ...]) -> str:
        """Return the nearest address that is not a trusted proxy, else the farthest.

        X-Forwarded-For is read from the right. The result is UNKNOWN if a hop on this path is not
        an address, even if it is empty: it must not be mistaken for the proxy that wrote it, nor
        for an address that the client wrote before it.
        """
        nearest = _canonical(peer)
        for line in reversed(forwarded_for):
            for hop in reversed(line.split(",")):
                if not self.trusts(nearest):
                    return nearest
                nearest = self._hop(hop)
        return nearest

    def _hop(self, text: str) -> str:
        if text.strip() in (UNIX, "unix:"):
            return UNIX if self.unix else UNKNOWN
        address = _address(text)
        return UNKNOWN if address is None else str(address)


def network_of(entry: str) -> Network:
    """Parse a network or an address; an IPv4-mapped IPv6 network becomes an IPv4 network.

    Raises:
        ValueError: it is not valid; the message contains the correct form.
    """
    text = _without_brackets(entry.strip())
    if "%" in text:
        raise ValueError("has a zone, which a network cannot have: remove it from % on")
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(_correction_for(text)) from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        return IPv4Network((str(mapped), network.prefixlen - 96))
    return network


def checked_entry(entry: str) -> str:
    """Validate an entry of `TrustedProxies.parse` and return it unchanged.

    Raises:
        ValueError: it is not a network, an address or `unix`.
    """
    TrustedProxies.parse((entry,))
    return entry


def entry_for(peer: str) -> str:
    """Return the entry of `server.trusted_proxies` that trusts exactly this peer."""
    address = _address(peer)
    return peer if address is None else f"{address}/{address.max_prefixlen}"


def _without_brackets(text: str) -> str:
    bare, slash, length = text.partition("/")
    if bare.startswith("[") and bare.endswith("]"):
        return f"{bare[1:-1]}{slash}{length}"
    return text


def _correction_for(text: str) -> str:
    try:
        wider = ip_network(text, strict=False)
    except ValueError:
        return "is not a network: write an IP address, a network such as 10.0.0.0/8, or unix"
    address = text.partition("/")[0]
    return (
        f"is an address with the length of a network: write {wider} for the whole network, or "
        f"{address}"
    )


def _canonical(peer: str) -> str:
    return _canonical_address(peer) if len(peer) <= MAX_ADDRESS_LENGTH else peer


@lru_cache(MAX_CACHED_ADDRESSES)
def _canonical_address(peer: str) -> str:
    address = _parse(peer)
    return peer if address is None else str(address)


def _address(text: str) -> Address | None:
    # Longer text is not an address, and would fill the cache.
    return _parse(text) if len(text) <= MAX_ADDRESS_LENGTH else None


@lru_cache(MAX_CACHED_ADDRESSES)
def _parse(text: str) -> Address | None:
    bare = text.strip(" \t")
    quoted = len(bare) > 1 and bare[0] == bare[-1] == '"'
    match = _SPELLING.fullmatch(bare[1:-1] if quoted else bare)
    if match is None:
        return None
    try:
        address = ip_address(match["bracketed"] or match["dotted"] or match["plain"])
    except ValueError:
        return None
    # A dual-stack listener reports IPv4 peers as ::ffff:a.b.c.d.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def counted_network(address: str) -> str:
    """Return the network by which an address is counted.

    That is the /64 of an IPv6 address (RFC 6177) and the IPv4 address of a mapped address. `unix`
    and texts that are not addresses are returned unchanged.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), _COUNTED_BITS), strict=False))
