"""Indexes of rules: by host and wildcard, and by the leading segments of their path patterns."""

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
G = TypeVar("G")


class HostIndex(Generic[G]):
    """Groups of rules by host; the rules of other hosts cost no time.

    Each group contains the rules that apply to its host or wildcard, in their order: its own, those
    of its wildcards, and those for every host.
    """

    def __init__(
        self,
        rules: Sequence[T],
        host_of: Callable[[T], str | None],
        group: Callable[[tuple[T, ...]], G],
    ) -> None:
        by_host: dict[str | None, list[int]] = {}
        for number, rule in enumerate(rules):
            by_host.setdefault(host_of(rule), []).append(number)

        def numbered(hosts: Iterable[str | None]) -> tuple[T, ...]:
            numbers = sorted(number for host in hosts for number in by_host.get(host, ()))
            return tuple(rules[number] for number in numbers)

        self._any_host = group(numbered([None]))
        self._hosts = {
            host: group(numbered([None, host, *_wildcards(host.removeprefix("*."))]))
            for host in by_host
            if host is not None
        }

    def find(self, host: str) -> G:
        """Return the group of a canonical host, else that of its nearest wildcard."""
        group = self._hosts.get(host)
        if group is None:
            wildcards = (self._hosts[name] for name in _wildcards(host) if name in self._hosts)
            group = next(wildcards, self._any_host)
        return group


def _wildcards(host: str) -> Iterable[str]:
    """Return the wildcards that cover a host, the nearest first."""
    labels = host.split(".")
    return (f"*.{'.'.join(labels[start:])}" for start in range(1, len(labels)))


class _Node(Generic[T]):
    """Tree node: entries whose literal segments end here, and child nodes by segment."""

    __slots__ = ("children", "entries")

    def __init__(self) -> None:
        self.entries: list[T] = []
        self.children: dict[str, _Node[T]] = {}


class PathIndex(Generic[T]):
    """Entries by the leading literal segments of their path patterns."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, segments: Iterable[str], entry: T) -> None:
        """Add an entry for paths that begin with these segments, which are casefolded."""
        node = self._root
        for segment in segments:
            node = node.children.setdefault(segment, _Node())
        node.entries.append(entry)

    def candidates(self, path: str) -> list[T]:
        """Return the entries whose segments begin this path, ignoring case; in no order."""
        node = self._root
        entries = node.entries
        for segment in path.casefold().split("/")[1:]:
            child = node.children.get(segment)
            if child is None:
                break
            node = child
            entries = entries + node.entries
        return entries
