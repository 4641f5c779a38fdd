"""Explanations of decisions, and detection of rules that can never decide a request."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from authgw.core.model import AccessRequest, Decision, Principal
from authgw.core.networks import TrustedProxies
from authgw.core.paths import canonical_path
from authgw.core.patterns import PathPattern
from authgw.core.rules import (
    Credential,
    Rule,
    Rules,
    decide,
    matches_network_and_method,
    matches_path,
)


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule that did not match, for the single reason `why`."""

    rule: Rule
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, the rule that made it (None without a match), and the near misses."""

    decision: Decision
    rule: Rule | None
    near: tuple[NearMiss, ...]


def explain(rules: Rules, access: AccessRequest, principal: Principal | None) -> Explanation:
    """Return the decision of the gateway with its rule and near misses."""
    match = rules.match(access)
    decision = decide(match, access, principal, "token_missing")
    deciding = match.rule.number if match.rule else None
    others = (rule for rule in rules.ordered if rule.number != deciding)
    mismatches = ((rule, _mismatches(rule, access)) for rule in others)
    near = tuple(NearMiss(rule, reasons[0]) for rule, reasons in mismatches if len(reasons) == 1)
    return Explanation(decision, match.rule, near)


def unreachable(rules: Rules) -> Iterator[tuple[Rule, Rule]]:
    """Yield each rule that can never match, with an earlier rule that matches all its requests."""
    for rule in rules.ordered:
        candidates = rules.hosts.find(rule.host or "").rules
        earlier = (other for other in candidates if other.number < rule.number)
        covering = next((other for other in earlier if _covers(other, rule)), None)
        if covering is not None:
            yield rule, covering


def unsatisfiable(rules: Rules) -> Iterator[Rule]:
    """Yield each rule that requires a second factor which no caller that it allows can present."""
    for rule in rules.ordered:
        allow = rule.allow
        others = allow.authenticated or allow.groups or allow.users or allow.providers
        if rule.totp and (rule.credentials == frozenset({Credential.APP_PASSWORD}) or not others):
            yield rule


def _mismatches(rule: Rule, access: AccessRequest) -> list[str]:
    reasons = []
    if rule.host is not None and not _is_host(rule.host, access.location.host):
        reasons.append(f"host is {access.location.host}, not {rule.host}")
    path = canonical_path(access.location.path)
    if not matches_path(rule, path.readings()):
        reasons.append(f"path is not {' or '.join(pattern.source for pattern in rule.paths)}")
    if rule.networks is not None and not rule.networks.trusts(access.client_address):
        reasons.append(f"{access.client_address or 'no address'} is not in its networks")
    elif not matches_network_and_method(rule, access):
        reasons.append(f"method is not {' or '.join(sorted(rule.methods or ()))}")
    return reasons or ["an earlier rule decided"]


def _is_host(pattern: str, host: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _covers(earlier: Rule, later: Rule) -> bool:
    if not _networks_cover(earlier.networks, later.networks) or not _methods_cover(earlier, later):
        return False
    if not earlier.paths:
        return True
    return bool(later.paths) and all(
        any(_pattern_covers(wider, path) for wider in earlier.paths) for path in later.paths
    )


def _methods_cover(earlier: Rule, later: Rule) -> bool:
    if earlier.methods is None:
        return True
    if later.methods is None or not later.methods <= earlier.methods:
        return False
    # A rule with preflight matches OPTIONS in addition to the methods that it names.
    return not later.preflight or earlier.preflight or "OPTIONS" in earlier.methods


def _networks_cover(earlier: TrustedProxies | None, later: TrustedProxies | None) -> bool:
    if earlier is None:
        return True
    if later is None or (later.unix and not earlier.unix):
        return False
    return all(any(_within(inner, outer) for outer in earlier.networks) for inner in later.networks)


def _within(inner: IPv4Network | IPv6Network, outer: IPv4Network | IPv6Network) -> bool:
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network):
        return inner.subnet_of(outer)
    return False


def _pattern_covers(earlier: PathPattern, later: PathPattern) -> bool:
    """Return True if `earlier` matches every path of `later`, as far as their texts show it."""
    if earlier.source == later.source:
        return True
    if later.source.startswith("=") or later.source == later.prefix:
        return earlier.matches(later.prefix)
    below = earlier.source.removesuffix("/**")
    if later.source.startswith("regex:") or "*" in below or not earlier.source.endswith("/**"):
        return earlier.source == "/**"
    # `/a/**` covers `/a/b*`, but only a part of the paths of `/a*`.
    return later.prefix.startswith(below + "/")
