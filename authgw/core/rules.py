"""Ordered rules: the first that matches a request decides it; where none does, it is denied.

Match first, identify second: what a rule asks of a caller is looked at only once it is known
which rule that is. Host and method choose the candidates; if one of them looks at the path, a
path that servers could disagree about is denied, unless the rule that decides admits it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import re2

from authgw.core.model import AccessRequest, Decision, Principal, Verdict
from authgw.core.paths import ADMISSIBLE, Ambiguity, CanonicalPath, canonical_path
from authgw.core.peers import TrustedProxies

_MAX_PATTERN = 1024


class RuleRefused(ValueError):
    """A rule that cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A compiled pattern; `prefix` is its literal beginning."""

    source: str
    prefix: str
    compiled: "re2._Regexp[str]" = field(repr=False, compare=False)

    def matches(self, text: str) -> bool:
        """Whether the whole text is matched."""
        return self.compiled.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Allow:
    """Whom a rule lets pass: anyone, any live session, or these groups and users."""

    anyone: bool = False
    authenticated: bool = False
    groups: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()

    def permits(self, principal: Principal) -> bool:
        """Whether this verified subject may pass."""
        if self.anyone or self.authenticated or principal.sub in self.users:
            return True
        return not self.groups.isdisjoint(principal.groups)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `host` is canonical, `*.suffix`, or None for every host; `methods` None is any.

    `paths` empty means that the rule does not look at the path; `origin` says where it stands.
    """

    origin: str
    allow: Allow
    host: str | None = None
    paths: tuple[PathPattern, ...] = ()
    methods: frozenset[str] | None = None
    networks: TrustedProxies | None = None
    preflight: bool = False
    encoded: frozenset[Ambiguity] = frozenset()


@dataclass(frozen=True, slots=True)
class Match:
    """The rule that decides, or the code of why none does."""

    rule: Rule | None
    reason: str = ""


class Rules:
    """Rules compiled once; rules for other hosts cost nothing."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._everywhere: list[tuple[int, Rule]] = []
        self._by_host: dict[str, list[tuple[int, Rule]]] = {}
        for number, rule in enumerate(rules):
            if rule.host is None:
                self._everywhere.append((number, rule))
            else:
                self._by_host.setdefault(rule.host, []).append((number, rule))

    def match(self, access: AccessRequest) -> Match:
        """The rule that decides this request.

        Reasons: `no_rule`, or `path_ambiguous` when servers could disagree about the path.
        """
        candidates = [rule for rule in self._of(access.location.host) if _takes(rule, access)]
        if not any(rule.paths for rule in candidates):
            return Match(candidates[0]) if candidates else Match(None, "no_rule")
        path = canonical_path(access.location.path)
        readings = path.readings()
        for rule in candidates:
            if _looks_at(rule, readings):
                return Match(rule) if _admits(rule, path) else Match(None, "path_ambiguous")
        return Match(None, "path_ambiguous" if path.ambiguities else "no_rule")

    def _of(self, host: str) -> Iterable[Rule]:
        found = [*self._everywhere, *self._by_host.get(host, ())]
        for suffix in _wildcards(host):
            found += self._by_host.get(suffix, ())
        return [rule for _, rule in sorted(found, key=lambda numbered: numbered[0])]


def needs_nobody(rule: Rule, access: AccessRequest) -> bool:
    """Whether this rule allows the request whoever sent it."""
    return rule.allow.anyone or _passes_as_preflight(rule, access)


def decide(match: Match, access: AccessRequest, principal: Principal | None, why: str) -> Decision:
    """The decision of a matched rule about a caller; `why` is the code of why it is unknown."""
    rule = match.rule
    if rule is None:
        return Decision(Verdict.DENY, match.reason)
    if _passes_as_preflight(rule, access):
        return Decision(Verdict.ALLOW)
    if rule.allow.anyone:
        return Decision(Verdict.ALLOW, principal=principal)
    if principal is None:
        return Decision(Verdict.LOGIN, why)
    if not rule.allow.permits(principal):
        return Decision(Verdict.DENY, "not_permitted", principal)
    return Decision(Verdict.ALLOW, principal=principal)


def glob(source: str) -> PathPattern:
    """`=/exact`, or a glob: `*` is any text without `/`, `**` any text, `/a/**` also `/a`.

    Raises:
        RuleRefused: it does not begin with `/`, is too long, or is itself ambiguous.
    """
    exact = source.startswith("=")
    text = source.removeprefix("=")
    if not text.startswith("/") or len(text) > _MAX_PATTERN:
        raise RuleRefused(f"{source}: a path begins with / and has at most {_MAX_PATTERN} letters")
    if canonical_path(text).ambiguities or canonical_path(text).text != text:
        raise RuleRefused(f"{source}: write the path decoded, without // ; \\ # % or dot segments")
    if exact:
        return PathPattern(source, text, re2.compile(re2.escape(text)))
    prefix = text.partition("*")[0]
    return PathPattern(source, prefix, re2.compile(_translated(text)))


def regex(source: str) -> PathPattern:
    """A pattern of RE2 that must match the whole path; its literal prefix is `/` alone.

    Raises:
        RuleRefused: RE2, which never backtracks, refuses it.
    """
    options = re2.Options()
    options.log_errors = False
    try:
        return PathPattern(f"regex:{source}", "/", re2.compile(source, options))
    except re2.error as error:
        raise RuleRefused(f"regex:{source}: {error}") from None


def _translated(text: str) -> str:
    body, below = (text[:-3], "(?:/.*)?") if text.endswith("/**") else (text, "")
    parts = [
        "[^/]*".join(re2.escape(piece) for piece in part.split("*")) for part in body.split("**")
    ]
    return "(?s:" + ".*".join(parts) + below + ")"


def _wildcards(host: str) -> Iterable[str]:
    labels = host.split(".")
    return (f"*.{'.'.join(labels[start:])}" for start in range(1, len(labels)))


def _takes(rule: Rule, access: AccessRequest) -> bool:
    if rule.networks is not None and not rule.networks.trusts(access.client_address):
        return False
    if rule.methods is None or access.method in rule.methods:
        return True
    return _passes_as_preflight(rule, access) and access.preflight_method in rule.methods


def _passes_as_preflight(rule: Rule, access: AccessRequest) -> bool:
    return rule.preflight and access.method == "OPTIONS" and access.preflight_method is not None


def _looks_at(rule: Rule, readings: frozenset[str]) -> bool:
    if not rule.paths:
        return True
    return any(pattern.matches(text) for pattern in rule.paths for text in readings)


def _admits(rule: Rule, path: CanonicalPath) -> bool:
    if not path.ambiguities:
        return True
    if not path.ambiguities <= (rule.encoded & ADMISSIBLE):
        return False
    readings = path.readings()
    return any(
        path.raw.startswith(pattern.prefix) and all(pattern.matches(text) for text in readings)
        for pattern in rule.paths
    )
