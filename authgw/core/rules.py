"""Ordered rules: the first that matches a request decides it; where none does, it is denied.

Match first, identify second: what a rule asks of a caller is looked at only once it is known
which rule that is. Host and method choose the candidates; if one of them looks at the path, a
path that servers could disagree about is denied, unless the rule that decides admits it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from operator import itemgetter

import re2

from authgw.core.model import AccessRequest, Decision, Principal, Verdict
from authgw.core.paths import ADMISSIBLE, Ambiguity, CanonicalPath, canonical_path
from authgw.core.peers import TrustedProxies

_MAX_PATTERN = 1024


class RuleRefused(ValueError):
    """A rule that cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A compiled pattern; `prefix` is its literal beginning, `anchor` its segments, folded."""

    source: str
    prefix: str
    anchor: tuple[str, ...]
    compiled: "re2._Regexp[str]" = field(repr=False, compare=False)
    in_any_case: "re2._Regexp[str]" = field(repr=False, compare=False)

    def resembles(self, text: str) -> bool:
        """Whether the whole text is matched by an upstream that ignores case."""
        return self.in_any_case.fullmatch(text) is not None

    def matches(self, text: str) -> bool:
        """Whether the whole text is matched."""
        return self.compiled.fullmatch(text) is not None


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
    `totp` asks for a second factor.
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

    @property
    def name(self) -> str:
        """What the operator can find it by."""
        return f"rules[{self.number}] ({self.origin})"

    def heeds(self, credential: Credential) -> bool:
        """Whether a caller may be known by this kind of credential."""
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

        Reasons: `no_rule`, or `path_ambiguous` when servers could disagree about the path.
        """
        host = self.of(access.location.host)
        path = canonical_path(access.location.path)
        quick = None
        if not path.ambiguities and access.preflight_method is None:
            quick = host.by_method(access.method).match(access, path.text)
        return quick or _match_closely(host.rules, access, path)

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
    readings = path.readings()
    for rule in candidates:
        if looks_at(rule, readings):
            return Match(rule) if _admits(rule, path) else Match(None, "path_ambiguous")
        # To an upstream that ignores case, this is that rule's page.
        if any(pattern.resembles(text) for pattern in rule.paths for text in readings):
            return Match(None, "path_ambiguous")
    return Match(None, "path_ambiguous" if path.ambiguities else "no_rule")


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
    return judge(rule, principal, why)


def judge(rule: Rule, principal: Principal | None, why: str) -> Decision:
    """As `decide`, for a request that this rule does not allow to everyone."""
    basic, cookie = rule.heeds(Credential.APP_PASSWORD), rule.heeds(Credential.COOKIE)
    if principal is None:
        return Decision(Verdict.LOGIN, why, takes_basic=basic, takes_cookie=cookie)
    if not rule.allow.permits(principal):
        has = ", ".join(principal.groups) or "no groups"
        said = f"{principal.sub} matched {rule.name}, needs {rule.allow}, has {has}."
        return Decision(Verdict.DENY, "not_permitted", principal, said, needs=rule.allow.names)
    if rule.totp and not principal.totp:
        return Decision(Verdict.LOGIN, "totp_required", principal, takes_cookie=cookie)
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
        return _pattern(source, text, text.split("/")[1:], re2.escape(text))
    prefix, wild, _ = text.partition("*")
    segments = prefix.split("/")[1:]
    return _pattern(source, prefix, segments[:-1] if wild else segments, _translated(text))


def regex(source: str) -> PathPattern:
    """A pattern of RE2 that must match the whole path; its literal prefix is `/` alone.

    Raises:
        RuleRefused: RE2, which never backtracks, refuses it.
    """
    try:
        return _pattern(f"regex:{source}", "/", [], source)
    except re2.error as error:
        raise RuleRefused(f"regex:{source}: {error}") from None


def _pattern(source: str, prefix: str, anchor: list[str], expression: str) -> PathPattern:
    options = re2.Options()
    options.log_errors = False
    compiled = re2.compile(expression, options)
    options.case_sensitive = False
    folded = tuple(segment.casefold() for segment in anchor)
    return PathPattern(source, prefix, folded, compiled, re2.compile(expression, options))


def _translated(text: str) -> str:
    body, below = (text[:-3], "(?:/.*)?") if text.endswith("/**") else (text, "")
    parts = [
        "[^/]*".join(re2.escape(piece) for piece in part.split("*")) for part in body.split("**")
    ]
    return "(?s:" + ".*".join(parts) + below + ")"


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
    return rule.preflight and access.method == "OPTIONS" and access.preflight_method is not None


def looks_at(rule: Rule, readings: frozenset[str]) -> bool:
    """Whether the rule is for any of these readings of the path."""
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
