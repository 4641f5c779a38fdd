"""Rules: first match, default deny, ambiguous paths."""

import posixpath
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authgw.core.model import AccessRequest, Principal, Verdict
from authgw.core.networks import TrustedProxies
from authgw.core.paths import Ambiguity
from authgw.core.rules import Allow, Rule, RuleError, Rules, allows_anyone, decide, glob, regex
from tests.support.rules import ADMIN, ADMINS, ANYONE, AUTHENTICATED, USER, asked, rule, verdict


def reason(rules: list[Rule], access: AccessRequest, caller: Principal | None = USER) -> str:
    return decide(Rules(rules).match(access), access, caller, "token_missing").reason


def test_the_first_match_decides_and_the_default_is_deny() -> None:
    rules = [
        rule(ANYONE, "/public/**", "=/health", host="*.example.com"),
        rule(ADMINS, "/admin/**"),
        rule(AUTHENTICATED, host="app.example.com"),
    ]
    assert verdict(rules, asked("/public/x"), None) is Verdict.ALLOW
    assert verdict(rules, asked("/health"), None) is Verdict.ALLOW
    assert verdict(rules, asked("/health/"), None) is Verdict.LOGIN
    assert verdict(rules, asked("/admin"), USER) is Verdict.DENY
    assert reason(rules, asked("/admin/x")) == "not_permitted"
    assert verdict(rules, asked("/admin/x"), ADMIN) is Verdict.ALLOW
    assert verdict(rules, asked("/x"), USER) is Verdict.ALLOW
    assert verdict(rules, asked("/x"), None) is Verdict.LOGIN
    assert reason(rules, asked("/x", host="other.example.org")) == "no_rule"
    assert reason([], asked()) == "no_rule"


@pytest.mark.parametrize(
    ("host", "matched"),
    [
        ("a.example.com", True),
        ("a.b.example.com", True),
        ("example.com", False),
        ("evilexample.com", False),
        ("example.com.evil.org", False),
    ],
)
def test_wildcard_hosts(host: str, matched: bool) -> None:
    rules = [rule(ANYONE, host="*.example.com")]
    assert (verdict(rules, asked(host=host), None) is Verdict.ALLOW) == matched


def test_methods_networks_and_users() -> None:
    rules = [
        rule(ANYONE, methods=frozenset({"GET", "HEAD"})),
        rule(ANYONE, networks=TrustedProxies.parse(("10.0.0.0/8",))),
        rule(Allow(users=frozenset({"u"}))),
    ]
    assert verdict(rules, asked(), None) is Verdict.ALLOW
    assert verdict(rules, asked(method="POST"), None) is Verdict.LOGIN
    assert verdict(rules, asked(method="POST", address="10.1.1.1"), None) is Verdict.ALLOW
    assert verdict(rules, asked(method="POST"), USER) is Verdict.ALLOW
    assert verdict(rules, asked(method="POST"), ADMIN) is Verdict.DENY


def test_preflights() -> None:
    rules = [rule(AUTHENTICATED, "/v1/**", methods=frozenset({"GET"}), preflight=True)]
    preflight = asked("/v1/x", method="OPTIONS", preflight="GET")
    assert verdict(rules, preflight, None) is Verdict.ALLOW
    assert reason(rules, asked("/v1/x", method="OPTIONS", preflight="PUT")) == "no_rule"
    assert reason(rules, asked("/v1/x", method="OPTIONS")) == "no_rule"
    # Only OPTIONS can be a preflight, whatever headers a request has.
    assert verdict(rules, asked("/v1/x", preflight="GET"), None) is Verdict.LOGIN
    assert reason(rules, asked("/v1/x", method="POST", preflight="GET")) == "no_rule"
    anyway = [rule(AUTHENTICATED, preflight=True)]
    assert verdict(anyway, asked(method="DELETE", preflight="GET"), None) is Verdict.LOGIN
    assert verdict(rules, asked("/v1/x"), None) is Verdict.LOGIN


@pytest.mark.parametrize(
    "path",
    ["//admin", "/a/../admin", "/a%2f..%2fadmin", "/%2561dmin", "/admin;x", "/admin%00", "/admin#"],
)
def test_ambiguity_denies_only_if_a_rule_has_paths(path: str) -> None:
    with_paths = [rule(ADMINS, "/admin/**"), rule(AUTHENTICATED)]
    assert reason(with_paths, asked(path), ADMIN) == "path_ambiguous"
    without_paths = [rule(AUTHENTICATED)]
    assert verdict(without_paths, asked(path), USER) is Verdict.ALLOW
    elsewhere = [rule(ADMINS, "/admin/**", host="other.example.com"), rule(AUTHENTICATED)]
    assert verdict(elsewhere, asked(path), USER) is Verdict.ALLOW


def test_a_rule_admits_ambiguities_after_its_literal_prefix() -> None:
    slash = frozenset({Ambiguity.SLASH})
    rules = [
        rule(ADMINS, "/api/admin/**"),
        rule(AUTHENTICATED, "/api/projects/**", encoded=slash),
    ]
    assert verdict(rules, asked("/api/projects/group%2Fproject"), USER) is Verdict.ALLOW
    for path in (
        "/api%2fprojects/x",
        "/api/projects/a%2f..%2f..%2fadmin",
        "/api/projects/a;b",
        "/api/admin%2fx",
        "/api/%70rojects/a%2fb",
        "/other%2fx",
    ):
        assert reason(rules, asked(path), USER) == "path_ambiguous", path
    everything = frozenset(Ambiguity)
    rules = [rule(ADMINS, "/admin/**"), rule(AUTHENTICATED, "/**", encoded=everything)]
    for path in ("//admin/x", "/admin;a/x", "/%2561dmin/x", "/x/../admin", "/admin%5cx", "/x%00"):
        assert reason(rules, asked(path), USER) == "path_ambiguous", path
    assert verdict(rules, asked("/x//y;z"), USER) is Verdict.ALLOW


def test_every_reading_must_match_the_pattern() -> None:
    rules = [rule(ANYONE, "/a/*/c", encoded=frozenset({Ambiguity.SLASH}))]
    # Some servers read /a/x/y/c, which the pattern does not match.
    assert reason(rules, asked("/a/x%2fy/c"), None) == "path_ambiguous"


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("/a", ["/a"], ["/a/", "/ab", "/a/b", "/A"]),
        ("/a/**", ["/a", "/a/", "/a/b/c"], ["/ab", "/"]),
        ("/a/*", ["/a/", "/a/b"], ["/a/b/c", "/a"]),
        ("/**", ["/", "/a\nb"], []),
        ("/*.png", ["/x.png"], ["/a/x.png", "/xpng"]),
        ("/a/**/z", ["/a/b/c/z"], ["/a/b"]),
        ("=/a*", ["/a*"], ["/ab"]),
        ("/(a|b)+", ["/(a|b)+"], ["/a"]),
    ],
)
def test_globs(pattern: str, yes: list[str], no: list[str]) -> None:
    compiled = glob(pattern)
    assert [text for text in yes + no if compiled.matches(text)] == yes


def test_invalid_patterns_are_refused() -> None:
    for source in ("", "a", "=a", "/a/../b", "/a//b", "/%61", "/a;b", "/a#", "/" + "a" * 2000):
        with pytest.raises(RuleError):
            glob(source)
    for source in ("(", r"(a)\1", "(?=a)"):
        with pytest.raises(RuleError, match="is not a valid regular expression"):
            regex(source)
    assert regex("/a+").matches("/aaa")
    assert not regex("/a+").matches("/aaab")


def normalised(path: str) -> str:
    """Return the reading of a lenient upstream: decode until stable, cut, merge, resolve."""
    for _ in range(6):
        path = unquote(path)
    path = path.replace("\\", "/").partition("#")[0].replace("\x00", "")
    path = "/".join(segment.partition(";")[0] for segment in path.split("/"))
    return "/" + posixpath.normpath(path).lstrip("/")


PIECES = [
    "admin",
    "ADMIN",
    "adm%49n",
    "Public",
    "adm%69n",
    "%61dmin",
    "%2561dmin",
    "a",
    "..",
    "%2e%2e",
    "%252e.",
    ".",
    "",
    ";x",
    "%3b",
    "admin;x",
    "\\",
    "%5c",
    "%00",
    "#",
    "a%2f..",
    "%2f",
    "public",
    "%25",
]
PATHS = st.lists(st.sampled_from(PIECES), max_size=5).map(lambda parts: "/" + "/".join(parts))


@pytest.mark.slow
@settings(max_examples=5000)
@given(PATHS, st.sets(st.sampled_from(list(Ambiguity))))
def test_no_spelling_of_a_denied_path_is_allowed(path: str, kinds: set[Ambiguity]) -> None:
    rules = [
        rule(ADMINS, "/admin/**"),
        rule(ANYONE, "/public/**", encoded=frozenset(kinds)),
        rule(ANYONE, "/**", encoded=frozenset(kinds)),
    ]
    if verdict(rules, asked(path), None) is Verdict.ALLOW:
        reached = normalised(path).lower()
        assert reached != "/admin"
        assert not reached.startswith("/admin/")


@given(PATHS, st.integers(0, 2))
def test_an_unrelated_rule_changes_no_verdict(path: str, place: int) -> None:
    rules = [rule(ADMINS, "/admin/**"), rule(ANYONE, "/a/**")]
    unrelated = rule(ANYONE, "/**", host="*.example.org")
    more = [*rules[:place], unrelated, *rules[place:]]
    assert verdict(rules, asked(path), USER) is verdict(more, asked(path), USER)


def test_rules_that_allow_anyone() -> None:
    preflight = asked(method="OPTIONS", preflight="GET")
    assert allows_anyone(rule(ANYONE), asked())
    assert allows_anyone(rule(AUTHENTICATED, preflight=True), preflight)
    assert not allows_anyone(rule(AUTHENTICATED), preflight)
    assert not allows_anyone(rule(AUTHENTICATED, preflight=True), asked())
