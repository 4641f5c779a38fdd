"""Which peers may speak about an original request, and whose address it came from."""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

UNIX = "unix"
_LONGEST = 64  # characters of an address with its zone


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The networks of `server.trusted_proxies`; an empty list trusts nobody."""

    networks: tuple[IPv4Network | IPv6Network, ...]
    unix: bool = False

    @classmethod
    def parse(cls, entries: tuple[str, ...]) -> "TrustedProxies":
        """Read networks, addresses and the entry `unix`.

        Raises:
            ValueError: an entry is none of these.
        """
        networks = tuple(ip_network(entry) for entry in entries if entry != UNIX)
        return cls(networks, UNIX in entries)

    def trusts(self, peer: str) -> bool:
        """Whether this peer (an address, or `unix`) is one of them; what is unreadable is not."""
        if peer == UNIX:
            return self.unix
        address = _address(peer)
        return address is not None and any(address in network for network in self.networks)

    def client_address(self, peer: str, forwarded_for: tuple[str, ...]) -> str:
        """The nearest address that is no trusted proxy, walking X-Forwarded-For from the right."""
        nearest = peer
        for hop in reversed([hop.strip() for line in forwarded_for for hop in line.split(",")]):
            if not self.trusts(nearest) or _address(hop) is None:
                return nearest
            nearest = hop
        return nearest


def checked_entry(entry: str) -> str:
    """An entry that `TrustedProxies.parse` reads, as it was given.

    Raises:
        ValueError: it is no network, address or `unix`.
    """
    try:
        TrustedProxies.parse((entry,))
    except ValueError:
        raise ValueError(_remedy(entry)) from None
    return entry


def _remedy(entry: str) -> str:
    try:
        meant = ip_network(entry, strict=False)
    except ValueError:
        return "is not a network: write 10.0.0.0/8 or ::1/128, an address, or unix"
    return f"has host bits set: write {meant}, or an address without /{meant.prefixlen}"


def entry_for(peer: str) -> str:
    """The entry of `server.trusted_proxies` that trusts exactly this peer."""
    address = _address(peer)
    return peer if address is None else f"{address}/{address.max_prefixlen}"


def _address(text: str) -> IPv4Address | IPv6Address | None:
    # What is longer would be remembered as no address, at the cost of its length.
    return _read(text) if len(text) <= _LONGEST else None


@lru_cache(4096)
def _read(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A dual-stack listener reports IPv4 peers as ::ffff:a.b.c.d.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
