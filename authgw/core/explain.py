"""Why a request is decided as it is, and which rules can never decide one."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from authgw.core.model import AccessRequest, Decision, Principal
from authgw.core.networks import TrustedProxies
from authgw.core.paths import canonical_path
from authgw.core.patterns import PathPattern
from authgw.core.rules import Rule, Rules, decide, looks_at, takes


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule that would have matched but for one thing."""

    rule: Rule
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, the rule that made it (None if none matched), and the near misses."""

    decision: Decision
    rule: Rule | None
    near: tuple[NearMiss, ...]


def explain(rules: Rules, access: AccessRequest, principal: Principal | None) -> Explanation:
    """Decide as the gateway would, and say by what."""
    match = rules.match(access)
    decision = decide(match, access, principal, "token_missing")
    decider = match.rule.number if match.rule else None
    misses = ((rule, _misses(rule, access)) for rule in rules.ordered if rule.number != decider)
    near = tuple(NearMiss(rule, found[0]) for rule, found in misses if len(found) == 1)
    return Explanation(decision, match.rule, near)


def unreachable(rules: Rules) -> Iterator[tuple[Rule, Rule]]:
    """Each rule that can never match, with an earlier one that takes all its requests."""
    for rule in rules.ordered:
        before = (one for one in rules.of(rule.host or "").rules if one.number < rule.number)
        covering = next((one for one in before if _covers(one, rule)), None)
        if covering is not None:
            yield rule, covering


def _misses(rule: Rule, access: AccessRequest) -> list[str]:
    found = []
    if rule.host is not None and not _is_host(rule.host, access.location.host):
        found.append(f"host is {access.location.host}, not {rule.host}")
    path = canonical_path(access.location.path)
    if not looks_at(rule, path.readings()):
        found.append(f"path is not {' or '.join(pattern.source for pattern in rule.paths)}")
    if rule.networks is not None and not rule.networks.trusts(access.client_address):
        found.append(f"{access.client_address or 'no address'} is not in its networks")
    elif not takes(rule, access):
        found.append(f"method is not {' or '.join(sorted(rule.methods or ()))}")
    return found or ["an earlier rule decided"]


def _is_host(pattern: str, host: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _covers(earlier: Rule, later: Rule) -> bool:
    if not _networks_cover(earlier.networks, later.networks) or not _methods_cover(earlier, later):
        return False
    if not earlier.paths:
        return True
    return bool(later.paths) and all(
        any(_pattern_covers(one, other) for one in earlier.paths) for other in later.paths
    )


def _methods_cover(earlier: Rule, later: Rule) -> bool:
    if earlier.methods is None:
        return True
    if later.methods is None or not later.methods <= earlier.methods:
        return False
    # A rule with preflight takes OPTIONS besides the methods that it names.
    return not later.preflight or earlier.preflight or "OPTIONS" in earlier.methods


def _networks_cover(earlier: TrustedProxies | None, later: TrustedProxies | None) -> bool:
    if earlier is None:
        return True
    if later is None or (later.unix and not earlier.unix):
        return False
    return all(any(_within(one, other) for other in earlier.networks) for one in later.networks)


def _within(inner: IPv4Network | IPv6Network, outer: IPv4Network | IPv6Network) -> bool:
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network):
        return inner.subnet_of(outer)
    return False


def _pattern_covers(earlier: PathPattern, later: PathPattern) -> bool:
    """Whether one takes every path of the other, as far as their texts show it."""
    if earlier.source == later.source:
        return True
    if later.source.startswith("=") or later.source == later.prefix:
        return earlier.matches(later.prefix)
    below = earlier.source.removesuffix("/**")
    if later.source.startswith("regex:") or "*" in below or not earlier.source.endswith("/**"):
        return earlier.source == "/**"
    # `/a/**` takes `/a/b*`, and of what begins with `/a*` only some.
    return later.prefix.startswith(below + "/")
