"""Ordered access rules: the first rule that matches a request decides; without a match, deny.

Matching precedes identification: the requirements of a rule are evaluated only after it was
selected. Host and method select the candidates; if a candidate has path patterns, an ambiguous
path is denied unless the deciding rule admits it.

A request can have several targets: a method that overrides its own, the Destination of a MOVE.
There is a single decision for all of them: each target has its rule, and the caller must present a
credential that all of these rules accept and be allowed by all of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from operator import itemgetter
from urllib.parse import quote

import re2

from authgw.core.limits import MAX_PATTERN_LENGTH
from authgw.core.model import (
    BACKEND_PREFIX,
    PROVIDER_PREFIX,
    AccessRequest,
    Decision,
    Principal,
    Verdict,
)
from authgw.core.networks import TrustedProxies
from authgw.core.paths import Ambiguity, CanonicalPath, canonical_path
from authgw.core.patterns import PathPattern, alternatives, glob_expression, pattern_of
from authgw.core.rule_index import HostIndex, PathIndex

_UNRESERVED_IN_PATHS = "/!$&'()*+,;=:@~"  # RFC 3986 section 3.3, besides letters and digits


class RuleError(ValueError):
    """Raised for a rule that is not valid; the message contains cause and remedy."""


class Credential(Enum):
    """Kinds of credentials by which a caller can be identified."""

    BEARER = "bearer"
    COOKIE = "cookie"
    APP_PASSWORD = "app-password"  # noqa: S105  name of a kind, not a password


@dataclass(frozen=True, slots=True)
class Allow:
    """Subjects that a rule allows: anyone, any valid session, or these groups and users.

    A trusted backend chooses the names of its subjects, so `users` are never its subjects:
    `backend_users` are, as `client/ID:NAME`. `providers` are identity providers, all of whose
    accounts are allowed unless they are linked to a user.
    """

    anyone: bool = False
    authenticated: bool = False
    groups: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    backend_users: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()

    def permits(self, principal: Principal) -> bool:
        """Return True if this verified subject is allowed."""
        if self.anyone or self.authenticated or self._names(principal):
            return True
        return not self.groups.isdisjoint(principal.groups)

    def _names(self, principal: Principal) -> bool:
        kind, _, name = principal.source.partition(":")
        if f"{kind}:" == BACKEND_PREFIX:
            return f"client/{name}:{principal.sub}" in self.backend_users
        if f"{kind}:" == PROVIDER_PREFIX and name in self.providers:
            return True
        return principal.sub in self.users

    @property
    def names(self) -> tuple[str, ...]:
        """Groups, users and providers in the notation of rules."""
        groups = [f"group:{name}" for name in sorted(self.groups)]
        users = [f"user:{name}" for name in sorted((*self.users, *self.backend_users))]
        return (*groups, *users, *(f"provider:{name}" for name in sorted(self.providers)))

    def __str__(self) -> str:
        anyone = ["anyone"] if self.anyone else []
        authenticated = ["authenticated"] if self.authenticated else []
        return ", ".join([*anyone, *authenticated, *self.names])


@dataclass(frozen=True, slots=True)
class Rule:
    """An access rule.

    `host` is canonical, `*.suffix`, or None for every host; `methods` None means any method; no
    `paths` means any path. `origin` is the file and line of the rule, `number` its position from 0.
    `credentials` None accepts every kind except app passwords. `totp` requires a second factor.
    `further_rules` are the rules of a request's further targets, each with the code of its
    refusal. An Authorization header that is not authgw's is allowed next to a session cookie
    unless `denies_foreign`; if it authenticates a connection, only with `connection_auth`.
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
    further_rules: "tuple[tuple[str, Rule], ...]" = ()
    denies_foreign: bool = False
    connection_auth: bool = False

    @property
    def name(self) -> str:
        """Name by which the operator can find the rule."""
        return f"rules[{self.number}] ({self.origin})"

    def accepts(self, credential: Credential) -> bool:
        """Return True if the rule accepts this kind of credential."""
        if self.further_rules:
            # A rule for anyone needs no credential.
            parts = (replace(self, further_rules=()), *(rule for _, rule in self.further_rules))
            return all(rule.accepts(credential) for rule in parts if not rule.allow.anyone)
        if self.credentials is None:
            return credential is not Credential.APP_PASSWORD
        return credential in self.credentials


@dataclass(frozen=True, slots=True)
class Match:
    """The deciding rule, or the code of the refusal if no rule matches."""

    rule: Rule | None
    reason: str = ""


class Rules:
    """Compiled rules, indexed by host; rules of other hosts cost no time."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.ordered = tuple(rules)
        self.hosts = HostIndex(rules, lambda rule: rule.host, _Host)

    def match(self, access: AccessRequest) -> Match:
        """Return the rule that decides this request.

        Reasons: `no_rule`, `path_ambiguous` if servers could disagree about the path, or the code
        of a further target without a matching rule.
        """
        match = self._match_target(access)
        return self._match_further(match.rule, access) if match.rule and access.further else match

    def _match_target(self, access: AccessRequest) -> Match:
        host = self.hosts.find(access.location.host)
        raw = access.location.path
        # Without path patterns the path is not analysed: its readings may be many.
        path = canonical_path(raw) if host.uses_paths else CanonicalPath(raw, raw, frozenset())
        match = None
        if path.is_plain and access.preflight_method is None:
            match = host.by_method(access.method).match(access, path.text)
        return match or _match_all_readings(host.rules, access, path)

    def _match_further(self, rule: Rule, access: AccessRequest) -> Match:
        """Return the rule combined with the rules of the request's further targets."""
        further_rules = []
        for target in access.further:
            single = replace(
                access,
                method=target.method,
                location=target.location,
                preflight_method=None,
                further=(),
            )
            other = self._match_target(single).rule
            if other is None:
                return Match(None, target.code)
            if other is not rule:
                further_rules.append((target.code, other))
        return Match(_strictest(rule, further_rules) if further_rules else rule)


class _Host:
    """The rules for a host in order, indexed by the methods that they name."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self.uses_paths = any(rule.paths for rule in rules)
        self._any_method = _Paths([rule for rule in rules if rule.methods is None])
        methods = {method for rule in rules for method in rule.methods or ()}
        self._by_method = {
            method: _Paths(
                [rule for rule in rules if rule.methods is None or method in rule.methods]
            )
            for method in methods
        }

    def by_method(self, method: str) -> "_Paths":
        return self._by_method.get(method, self._any_method)


class _Paths:
    """Rules of a host and method, indexed by the leading literal segments of their patterns."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._index: PathIndex[tuple[int, PathPattern | None, Rule]] = PathIndex()
        for number, rule in enumerate(rules):
            for pattern in rule.paths or (None,):
                self._index.add(pattern.anchor if pattern else (), (number, pattern, rule))

    def match(self, access: AccessRequest, text: str) -> Match | None:
        """Return the first match for a path with `text` as single reading; None if case matters."""
        candidates = sorted(self._index.candidates(text), key=itemgetter(0))
        for _, pattern, rule in candidates:
            if pattern is not None and not pattern.matches(text):
                if pattern.matches_ignoring_case(text):
                    return None
                continue
            if rule.networks is None or rule.networks.trusts(access.client_address):
                return Match(rule)
        return Match(None, "no_rule")


# Without a `rules` section any valid session may access every protected host.
ANY_SESSION = Rule("no rules", Allow(authenticated=True))
NO_RULES = Rules((ANY_SESSION,))


def _match_all_readings(
    rules: tuple[Rule, ...], access: AccessRequest, path: CanonicalPath
) -> Match:
    """Return the match of a preflight, or of a path with several readings or whose case matters."""
    candidates = [rule for rule in rules if matches_network_and_method(rule, access)]
    if not any(rule.paths for rule in candidates):
        return Match(candidates[0]) if candidates else Match(None, "no_rule")
    if not path.is_admissible:
        return Match(None, "path_ambiguous")
    readings = path.readings()
    for rule in candidates:
        if matches_path(rule, readings):
            return Match(rule) if _admits(rule, path) else Match(None, "path_ambiguous")
        # An upstream that ignores case would serve the page of that rule.
        if any(pattern.matches_ignoring_case(text) for pattern in rule.paths for text in readings):
            return Match(None, "path_ambiguous")
    return Match(None, "path_ambiguous" if path.ambiguities else "no_rule")


def _strictest(rule: Rule, further_rules: Sequence[tuple[str, Rule]]) -> Rule:
    """Return the rule with its further rules, and the strictest settings of all of them."""
    parts = (rule, *(other for _, other in further_rules))
    return replace(
        rule,
        further_rules=tuple(further_rules),
        denies_foreign=any(part.denies_foreign for part in parts),
        connection_auth=all(part.connection_auth for part in parts if not part.allow.anyone),
    )


def allows_anyone(rule: Rule, access: AccessRequest) -> bool:
    """Return True if this rule allows the request without a credential."""
    if _passes_as_preflight(rule, access):
        return True
    return rule.allow.anyone and all(other.allow.anyone for _, other in rule.further_rules)


def decide(match: Match, access: AccessRequest, principal: Principal | None, why: str) -> Decision:
    """Return the decision of a matched rule.

    `principal` is the caller, or None; `why` is the code of the reason if it is None.
    """
    rule = match.rule
    if rule is None:
        return Decision(Verdict.DENY, match.reason)
    if _passes_as_preflight(rule, access):
        return Decision(Verdict.ALLOW)
    if allows_anyone(rule, access):
        return Decision(Verdict.ALLOW, principal=principal)
    return authorize(rule, principal, why)


def authorize(rule: Rule, principal: Principal | None, why: str) -> Decision:
    """Return the decision for a request that is not allowed without a credential."""
    if principal is None:
        basic, cookie = rule.accepts(Credential.APP_PASSWORD), rule.accepts(Credential.COOKIE)
        return Decision(Verdict.LOGIN, why, accepts_basic=basic, accepts_cookie=cookie)
    parts = (("not_permitted", rule), *rule.further_rules)
    for code, part in parts:
        if not part.allow.permits(principal):
            groups = ", ".join(principal.groups) or "no groups"
            detail = f"{principal.sub} matched {part.name}, needs {part.allow}, has {groups}."
            return Decision(Verdict.DENY, code, principal, detail, needs=part.allow.names)
    if not principal.totp and any(part.totp for _, part in parts):
        if not principal.can_add_factor:
            return Decision(Verdict.DENY, "factor_unsupported", principal)
        cookie = rule.accepts(Credential.COOKIE)
        return Decision(Verdict.LOGIN, "totp_required", principal, accepts_cookie=cookie)
    return Decision(Verdict.ALLOW, principal=principal)


def glob(source: str) -> PathPattern:
    """Compile `=/exact` or a glob: `*` matches text without `/`, `**` any text, `/a/**` also `/a`.

    Raises:
        RuleError: it does not begin with `/`, is too long, or is itself ambiguous.
    """
    exact = source.startswith("=")
    text = source.removeprefix("=")
    if not text.startswith("/") or len(text) > MAX_PATTERN_LENGTH:
        raise RuleError(
            f"{source} is not a valid path: begin it with /, and write at most "
            f"{MAX_PATTERN_LENGTH} characters"
        )
    if canonical_path(text).ambiguities or canonical_path(text).text != text:
        raise RuleError(
            f"{source} is not a plain path: write it decoded, without // ; \\ # % or dot segments"
        )
    translate = re2.escape if exact else glob_expression
    prefix, wildcard, _ = (text, "", "") if exact else text.partition("*")
    segments = prefix.split("/")[1:]
    anchor = segments[:-1] if wildcard else segments
    return pattern_of(source, prefix, anchor, translate(text), alternatives(text, translate))


def regex(source: str) -> PathPattern:
    """Compile an RE2 pattern that must match the whole path; its literal prefix is `/`.

    Raises:
        RuleError: RE2, which never backtracks, does not accept it.
    """
    try:
        return pattern_of(f"regex:{source}", "/", [], source)
    except re2.error as error:
        raise RuleError(
            f"is not a valid regular expression of RE2 ({_re2_reason(error)}): correct it"
        ) from None


def _re2_reason(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


def matches_network_and_method(rule: Rule, access: AccessRequest) -> bool:
    """Return True if the rule is for this network and method; host and path are not compared."""
    if rule.networks is not None and not rule.networks.trusts(access.client_address):
        return False
    if rule.methods is None or access.method in rule.methods:
        return True
    return _passes_as_preflight(rule, access) and access.preflight_method in rule.methods


def _passes_as_preflight(rule: Rule, access: AccessRequest) -> bool:
    if not rule.preflight or access.method != "OPTIONS" or access.further:
        return False
    return access.preflight_method is not None


def matches_path(rule: Rule, readings: frozenset[str]) -> bool:
    """Return True if the rule is for any of these readings of the path."""
    if not rule.paths:
        return True
    return any(pattern.matches(text) for pattern in rule.paths for text in readings)


def _admits(rule: Rule, path: CanonicalPath) -> bool:
    if not path.ambiguities:
        return not rule.paths or is_inside(rule.paths, path)
    if not path.ambiguities <= rule.encoded:
        return False
    prefixed = [
        pattern for pattern in rule.paths if path.raw.startswith(_spellings(pattern.prefix))
    ]
    return is_inside(prefixed, path)


def _spellings(prefix: str) -> tuple[str, str]:
    """Return a literal prefix as it is, and as a browser encodes it."""
    return prefix, quote(prefix, safe=_UNRESERVED_IN_PATHS)


def is_inside(patterns: Iterable[PathPattern], path: CanonicalPath) -> bool:
    """Return True if one of these patterns matches all readings of a path."""
    readings = path.readings()
    return any(pattern.matches_all(readings) for pattern in patterns)
