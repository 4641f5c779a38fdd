"""Ordered rules: the first that matches a request decides it; where none does, it is denied.

Match first, identify second: what a rule asks of a caller is looked at only once it is known
which rule that is. Host and method choose the candidates; if one of them looks at the path, a
path that servers could disagree about is denied, unless the rule that decides admits it.

A request can have several targets: a method that overrides its own, the Destination of a MOVE.
It is judged once, for all of them: each has its rule, and the caller must be known in a way that
all of these rules accept and be allowed by all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from operator import itemgetter
from urllib.parse import quote

import re2

from authgw.core.model import AccessRequest, Decision, Principal, Verdict
from authgw.core.networks import TrustedProxies
from authgw.core.paths import Ambiguity, CanonicalPath, canonical_path
from authgw.core.patterns import PathPattern, alternatives, pattern_of, translated

_MAX_PATTERN = 1024
_UNRESERVED_IN_PATHS = "/!$&'()*+,;=:@~"  # what RFC 3986 section 3.3 allows, besides letters


class RuleError(ValueError):
    """A rule that cannot be used; the message says why and what to do."""


class Credential(Enum):
    """What a caller may show to be known by."""

    BEARER = "bearer"
    COOKIE = "cookie"
    APP_PASSWORD = "app-password"  # noqa: S105  the name of a kind


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

    @property
    def names(self) -> tuple[str, ...]:
        """The groups and users, as rules write them."""
        groups = [f"group:{name}" for name in sorted(self.groups)]
        return (*groups, *(f"user:{name}" for name in sorted(self.users)))

    def __str__(self) -> str:
        anyone = ["anyone"] if self.anyone else []
        some = ["authenticated"] if self.authenticated else []
        return ", ".join([*anyone, *some, *self.names])


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `host` is canonical, `*.suffix`, or None for every host; `methods` None is any.

    `paths` empty means that the rule does not look at the path; `origin` says where it stands;
    `credentials` None lets every kind count but app passwords. `number` is its place, from 0.
    `totp` asks for a second factor. `beside` holds the rules of a request's further targets, each
    with the code of its refusal. An Authorization that is not ours passes next to a session
    cookie, unless `denies_foreign`; if it authenticates a connection, only with `connection_auth`.
    """

    origin: str
    allow: Allow
    host: str | None = None
    paths: tuple[PathPattern, ...] = ()
    methods: frozenset[str] | None = None
    networks: TrustedProxies | None = None
    preflight: bool = False
    encoded: frozenset[Ambiguity] = frozenset()
    credentials: frozenset[Credential] | None = None
    number: int = 0
    totp: bool = False
    beside: "tuple[tuple[str, Rule], ...]" = ()
    denies_foreign: bool = False
    connection_auth: bool = False

    @property
    def name(self) -> str:
        """What the operator can find it by."""
        return f"rules[{self.number}] ({self.origin})"

    def heeds(self, credential: Credential) -> bool:
        """Whether a caller may be known by this kind of credential."""
        if self.beside:
            # A rule for anyone does not ask who it is.
            parts = (replace(self, beside=()), *(rule for _, rule in self.beside))
            return all(rule.heeds(credential) for rule in parts if not rule.allow.anyone)
        if self.credentials is None:
            return credential is not Credential.APP_PASSWORD
        return credential in self.credentials


@dataclass(frozen=True, slots=True)
class Match:
    """The rule that decides, or the code of why none does."""

    rule: Rule | None
    reason: str = ""


class Rules:
    """Rules compiled once; rules for other hosts cost nothing."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.ordered = tuple(rules)
        by_host: dict[str | None, list[int]] = {}
        for number, rule in enumerate(rules):
            by_host.setdefault(rule.host, []).append(number)
        self._everywhere = _Host(self._numbered(by_host.get(None, ())))
        self._hosts = {
            host: _Host(
                self._numbered(number for key in _covering(host) for number in by_host.get(key, ()))
            )
            for host in by_host
            if host is not None
        }

    def match(self, access: AccessRequest) -> Match:
        """The rule that decides this request.

        Reasons: `no_rule`, `path_ambiguous` when servers could disagree about the path, or the
        code of a further target that no rule is for.
        """
        found = self._match_target(access)
        return self._beside(found.rule, access) if found.rule and access.further else found

    def _match_target(self, access: AccessRequest) -> Match:
        host = self.of(access.location.host)
        raw = access.location.path
        # A path that no rule looks at is not read: its readings may be many.
        path = canonical_path(raw) if host.looks_at_paths else CanonicalPath(raw, raw, frozenset())
        quick = None
        if path.is_plain and access.preflight_method is None:
            quick = host.by_method(access.method).match(access, path.text)
        return quick or _match_closely(host.rules, access, path)

    def _beside(self, rule: Rule, access: AccessRequest) -> Match:
        """Return the rule together with those of the request's further targets."""
        beside = []
        for target in access.further:
            alone = replace(
                access,
                method=target.method,
                location=target.location,
                preflight_method=None,
                further=(),
            )
            other = self._match_target(alone).rule
            if other is None:
                return Match(None, target.code)
            if other is not rule:
                beside.append((target.code, other))
        return Match(_strictest(rule, beside) if beside else rule)

    def of(self, host: str) -> "_Host":
        """What there is for this canonical host: its own rules, else its nearest wildcard's."""
        found = self._hosts.get(host)
        if found is None:
            near = (self._hosts[name] for name in _wildcards(host) if name in self._hosts)
            found = next(near, self._everywhere)
        return found

    def _numbered(self, numbers: Iterable[int]) -> tuple[Rule, ...]:
        return tuple(self.ordered[number] for number in sorted(numbers))


class _Host:
    """The rules that can concern one host, in order, prepared for each method they name."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self.looks_at_paths = any(rule.paths for rule in rules)
        self._others = _Paths([rule for rule in rules if rule.methods is None])
        named = {method for rule in rules for method in rule.methods or ()}
        self._named = {
            method: _Paths(
                [rule for rule in rules if rule.methods is None or method in rule.methods]
            )
            for method in named
        }

    def by_method(self, method: str) -> "_Paths":
        return self._named.get(method, self._others)


_Entry = tuple[int, PathPattern | None, Rule]


class _Node:
    """Patterns whose literal segments end here, and the segments that go on."""

    __slots__ = ("below", "entries")

    def __init__(self) -> None:
        self.entries: list[_Entry] = []
        self.below: dict[str, _Node] = {}


class _Paths:
    """Rules of one host and method by the literal segments that their patterns begin with."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._root = _Node()
        for number, rule in enumerate(rules):
            for pattern in rule.paths or (None,):
                node = self._root
                for segment in pattern.anchor if pattern else ():
                    node = node.below.setdefault(segment, _Node())
                node.entries.append((number, pattern, rule))

    def match(self, access: AccessRequest, text: str) -> Match | None:
        """The first rule for a path that everyone reads as `text`; None if its case matters."""
        for _, pattern, rule in self._near(text):
            if pattern is not None and not pattern.matches(text):
                if pattern.resembles(text):
                    return None
                continue
            if rule.networks is None or rule.networks.trusts(access.client_address):
                return Match(rule)
        return Match(None, "no_rule")

    def _near(self, text: str) -> list[_Entry]:
        node: _Node | None = self._root
        found = self._root.entries
        for segment in text.casefold().split("/")[1:]:
            node = node.below.get(segment) if node else None
            if node is None:
                break
            found = found + node.entries
        return sorted(found, key=itemgetter(0))


def _match_closely(rules: tuple[Rule, ...], access: AccessRequest, path: CanonicalPath) -> Match:
    candidates = [rule for rule in rules if takes(rule, access)]
    if not any(rule.paths for rule in candidates):
        return Match(candidates[0]) if candidates else Match(None, "no_rule")
    if not path.is_admissible:
        return Match(None, "path_ambiguous")
    readings = path.readings()
    for rule in candidates:
        if looks_at(rule, readings):
            return Match(rule) if _admits(rule, path) else Match(None, "path_ambiguous")
        # To an upstream that ignores case, this is that rule's page.
        if any(pattern.resembles(text) for pattern in rule.paths for text in readings):
            return Match(None, "path_ambiguous")
    return Match(None, "path_ambiguous" if path.ambiguities else "no_rule")


def _strictest(rule: Rule, beside: Sequence[tuple[str, Rule]]) -> Rule:
    """Return a rule that also holds those of further targets, with the strictest of their terms."""
    parts = (rule, *(other for _, other in beside))
    return replace(
        rule,
        beside=tuple(beside),
        denies_foreign=any(part.denies_foreign for part in parts),
        connection_auth=all(part.connection_auth for part in parts if not part.allow.anyone),
    )


def needs_nobody(rule: Rule, access: AccessRequest) -> bool:
    """Whether this rule allows the request whoever sent it."""
    if _passes_as_preflight(rule, access):
        return True
    return rule.allow.anyone and all(other.allow.anyone for _, other in rule.beside)


def decide(match: Match, access: AccessRequest, principal: Principal | None, why: str) -> Decision:
    """The decision of a matched rule about a caller; `why` is the code of why it is unknown."""
    rule = match.rule
    if rule is None:
        return Decision(Verdict.DENY, match.reason)
    if _passes_as_preflight(rule, access):
        return Decision(Verdict.ALLOW)
    if needs_nobody(rule, access):
        return Decision(Verdict.ALLOW, principal=principal)
    return judge(rule, principal, why)


def judge(rule: Rule, principal: Principal | None, why: str) -> Decision:
    """As `decide`, for a request that this rule does not allow to everyone."""
    basic, cookie = rule.heeds(Credential.APP_PASSWORD), rule.heeds(Credential.COOKIE)
    if principal is None:
        return Decision(Verdict.LOGIN, why, takes_basic=basic, takes_cookie=cookie)
    parts = (("not_permitted", rule), *rule.beside)
    for code, part in parts:
        if not part.allow.permits(principal):
            has = ", ".join(principal.groups) or "no groups"
            said = f"{principal.sub} matched {part.name}, needs {part.allow}, has {has}."
            return Decision(Verdict.DENY, code, principal, said, needs=part.allow.names)
    if not principal.totp and any(part.totp for _, part in parts):
        return Decision(Verdict.LOGIN, "totp_required", principal, takes_cookie=cookie)
    return Decision(Verdict.ALLOW, principal=principal)


def glob(source: str) -> PathPattern:
    """`=/exact`, or a glob: `*` is any text without `/`, `**` any text, `/a/**` also `/a`.

    Raises:
        RuleError: it does not begin with `/`, is too long, or is itself ambiguous.
    """
    exact = source.startswith("=")
    text = source.removeprefix("=")
    if not text.startswith("/") or len(text) > _MAX_PATTERN:
        raise RuleError(f"{source}: a path begins with / and has at most {_MAX_PATTERN} letters")
    if canonical_path(text).ambiguities or canonical_path(text).text != text:
        raise RuleError(f"{source}: write the path decoded, without // ; \\ # % or dot segments")
    translate = re2.escape if exact else translated
    prefix, wild, _ = (text, "", "") if exact else text.partition("*")
    segments = prefix.split("/")[1:]
    anchor = segments[:-1] if wild else segments
    return pattern_of(source, prefix, anchor, translate(text), alternatives(text, translate))


def regex(source: str) -> PathPattern:
    """A pattern of RE2 that must match the whole path; its literal prefix is `/` alone.

    Raises:
        RuleError: RE2, which never backtracks, refuses it.
    """
    try:
        return pattern_of(f"regex:{source}", "/", [], source)
    except re2.error as error:
        raise RuleError(f"regex:{source}: {error}") from None


def _wildcards(host: str) -> Iterable[str]:
    labels = host.split(".")
    return (f"*.{'.'.join(labels[start:])}" for start in range(1, len(labels)))


def _covering(host: str) -> Iterable[str | None]:
    """The keys whose rules concern this host or wildcard: everywhere, itself, those above it."""
    return [None, host, *_wildcards(host.removeprefix("*."))]


def takes(rule: Rule, access: AccessRequest) -> bool:
    """Whether the rule is for this network and method; host and path are looked at elsewhere."""
    if rule.networks is not None and not rule.networks.trusts(access.client_address):
        return False
    if rule.methods is None or access.method in rule.methods:
        return True
    return _passes_as_preflight(rule, access) and access.preflight_method in rule.methods


def _passes_as_preflight(rule: Rule, access: AccessRequest) -> bool:
    if not rule.preflight or access.method != "OPTIONS" or access.further:
        return False
    return access.preflight_method is not None


def looks_at(rule: Rule, readings: frozenset[str]) -> bool:
    """Whether the rule is for any of these readings of the path."""
    if not rule.paths:
        return True
    return any(pattern.matches(text) for pattern in rule.paths for text in readings)


def _admits(rule: Rule, path: CanonicalPath) -> bool:
    if not path.ambiguities:
        return not rule.paths or is_inside(rule.paths, path)
    if not path.ambiguities <= rule.encoded:
        return False
    behind = [pattern for pattern in rule.paths if path.raw.startswith(_spellings(pattern.prefix))]
    return is_inside(behind, path)


def _spellings(prefix: str) -> tuple[str, str]:
    """Return a literal beginning as it is, and as a browser encodes it."""
    return prefix, quote(prefix, safe=_UNRESERVED_IN_PATHS)


def is_inside(patterns: Iterable[PathPattern], path: CanonicalPath) -> bool:
    """Return whether all readings of a path stay inside one of these patterns."""
    readings = path.readings()
    return any(pattern.holds(readings) for pattern in patterns)
