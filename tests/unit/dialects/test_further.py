"""Requests with several targets: overriding methods and paths, and Destinations."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from authgw.core.authorization import Authorization, AuthorizationKind, refusal
from authgw.core.errors import AuthgwError
from authgw.core.model import AccessRequest, Principal, Verdict
from authgw.core.rules import Allow, Credential, Rules, allows_anyone, decide, glob
from authgw.core.users import AppPassword
from tests.support.dialects import DIALECTS, described
from tests.support.rules import ADMINS, ANYONE, AUTHENTICATED, rule

HOST = "nas.example.com"
ALICE = Principal("alice", "s", ("users",))
ADMIN = Principal("root", "s", ("admins",))
OWN = Allow(users=frozenset({"alice"}))
DAV = [
    rule(OWN, "/dav/alice/**", host=HOST),
    rule(ADMINS, "/dav/**", host=HOST),
    rule(ANYONE, "/public/**", host=HOST, methods=frozenset({"GET", "HEAD"})),
    rule(AUTHENTICATED, "/drop/**", host=HOST, methods=frozenset({"PUT"})),
    rule(AUTHENTICATED, "/slides/**", host=HOST, totp=True),
    rule(AUTHENTICATED, "/api/**", host=HOST, credentials=frozenset({Credential.BEARER})),
    rule(ANYONE, "/open/**", host=HOST),
]

Headers = list[tuple[str, str]]


def access_of(
    dialect: str, method: str, uri: str, headers: Headers, host: str = HOST
) -> AccessRequest:
    module, send = DIALECTS[dialect]
    subrequest = send(method, host, uri)
    return described(module, (subrequest[0], subrequest[1], [*subrequest[2], *headers]))


def outcome(
    dialect: str, method: str, uri: str, headers: Headers, caller: Principal | None = ALICE
) -> str:
    """Return the reason of the refusal, "" if the request is allowed."""
    try:
        access = access_of(dialect, method, uri, headers)
    except AuthgwError as error:
        return error.code
    return decide(Rules(DAV).match(access), access, caller, "token_missing").reason


def destination(value: str) -> Headers:
    return [("Destination", value)]


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("method", ["COPY", "MOVE", "BCOPY", "BMOVE"])
@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ("https://nas.example.com/dav/alice/y", True),
        ("https://nas.example.com/dav/alice/y?x=/dav/bob", True),
        ("HTTPS://NAS.Example.com./dav/alice/y", True),
        ("http://nas.example.com:8443/dav/alice/y", True),
        ("https://nas.example.com:443/dav/alice/caf%C3%A9", True),
        ("/dav/alice/y", True),
        ("https://nas.example.com/drop/y", True),
        ("https://nas.example.com/open/y", True),
        ("https://nas.example.com/dav/bob/y", False),
        ("/dav/bob/y", False),
        ("https://nas.example.com/public/y", False),
        ("https://nas.example.com/nowhere", False),
        ("https://nas.example.com/dav/alice/../bob/y", False),
        ("https://nas.example.com/dav/alice/%2e%2e/bob/y", False),
        ("https://nas.example.com/dav/alice%2f..%2fbob", False),
        ("https://nas.example.com/dav/alice/..%5cbob", False),
        ("https://nas.example.com/dav/alice/y#/dav/bob", False),
        ("https://nas.example.com//dav/alice/y", False),
        ("https://nas.example.com", False),
        ("https://other.example.com/dav/alice/y", False),
        ("https://alice@nas.example.com/dav/alice/y", False),
        ("https://nas.example.com@evil.example/dav/alice/y", False),
        ("https://nas.example.com\\@evil.example/dav/alice/y", False),
        ("https:///dav/alice/y", False),
        ("//evil.example/dav/alice/y", False),
        ("//nas.example.com/dav/alice/y", False),
        ("ftp://nas.example.com/dav/alice/y", False),
        ("file:///dav/alice/y", False),
        ("y", False),
        ("../bob/y", False),
        ("./y", False),
        ("\\dav\\alice\\y", False),
        ("<https://nas.example.com/dav/alice/y>", False),
        ("/dav/alice/y, /dav/bob/y", True),
        ("", False),
        ("*", False),
    ],
)
def test_the_destination_of_copy_and_move_must_be_allowed_as_put(
    dialect: str, method: str, value: str, allowed: bool
) -> None:
    reason = outcome(dialect, method, "/dav/alice/x", destination(value))
    assert reason == ("" if allowed else "destination_denied")
    assert outcome(dialect, method, "/dav/bob/x", destination(value)) != ""


def test_copy_and_move_name_one_destination(dialect: str) -> None:
    for method in ("COPY", "MOVE"):
        assert outcome(dialect, method, "/dav/alice/x", []) == "destination_denied"
        twice = [*destination("/dav/alice/y"), ("destination", "/dav/alice/y")]
        assert outcome(dialect, method, "/dav/alice/x", twice) == "destination_denied"
    # Other methods have no Destination, even with the header.
    assert outcome(dialect, "PUT", "/dav/alice/x", destination("/dav/bob/y")) == ""


def test_the_caller_must_be_allowed_at_both_targets(dialect: str) -> None:
    def moved(target: str, caller: Principal | None) -> str:
        return outcome(dialect, "MOVE", "/open/x", destination(target), caller)

    assert moved("/open/y", None) == ""
    assert moved("/dav/alice/y", None) == "token_missing"
    assert moved("/dav/alice/y", ADMIN) == "destination_denied"
    assert moved("/dav/bob/y", ADMIN) == ""
    assert moved("/slides/y", ALICE) == "totp_required"
    assert outcome(dialect, "MOVE", "/dav/bob/x", destination("/open/y")) == "not_permitted"


def test_a_credential_must_be_accepted_by_the_rules_of_all_targets(dialect: str) -> None:
    access = access_of(dialect, "MOVE", "/dav/alice/x", destination("/api/y"))
    joint = Rules(DAV).match(access).rule
    assert joint is not None
    assert [kind for kind in Credential if joint.accepts(kind)] == [Credential.BEARER]
    open_source = access_of(dialect, "MOVE", "/open/x", destination("/api/y"))
    joint = Rules(DAV).match(open_source).rule
    assert joint is not None
    assert not allows_anyone(joint, open_source)
    assert [kind for kind in Credential if joint.accepts(kind)] == [Credential.BEARER]
    same = access_of(dialect, "MOVE", "/dav/alice/x", destination("/dav/alice/y"))
    assert Rules(DAV).match(same).rule is DAV[0]


OVERRIDES = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"]
SPELLINGS: list[Any] = [str, str.lower, str.upper, lambda name: name.replace("-", "_")]


@pytest.mark.parametrize(("name", "spell"), list(product(OVERRIDES, SPELLINGS)))
def test_an_overriding_method_must_be_allowed_too(dialect: str, name: str, spell: Any) -> None:
    def with_override(*values: str) -> str:
        headers = [(spell(name), value) for value in values]
        return outcome(dialect, "GET", "/public/x", headers, None)

    assert with_override() == ""
    for good in ("GET", "head", "", " ", ",", "GET, HEAD"):
        assert with_override(good) == "", good
    for bad in ("DELETE", "delete", "GET, DELETE", "DELETE, GET", " Put ", "P T", "GET;DELETE"):
        assert with_override(bad) == "override_denied", bad
    assert with_override("GET", "DELETE") == "override_denied"
    assert with_override("X" * 40) == "override_denied"
    assert with_override(",".join(f"M{'A' * n}" for n in range(20))) == "override_denied"


def test_an_override_does_not_replace_the_method(dialect: str) -> None:
    headers = [("X-HTTP-Method-Override", "GET")]
    assert outcome(dialect, "POST", "/public/x", headers, None) == "no_rule"
    assert outcome(dialect, "POST", "/dav/alice/x", headers) == ""


def test_an_overriding_move_has_a_destination(dialect: str) -> None:
    moving = [("X-HTTP-Method-Override", "move")]
    assert outcome(dialect, "POST", "/dav/alice/x", moving) == "destination_denied"
    for target, reason in (("/dav/alice/y", ""), ("/dav/bob/y", "destination_denied")):
        actual = outcome(dialect, "POST", "/dav/alice/x", moving + destination(target))
        assert actual == reason


def test_an_overriding_path_must_be_allowed_too(dialect: str) -> None:
    names = ["X-Rewrite-URL", "x_rewrite_url", "X_Original_URL"]
    if dialect == "forwarded":
        names.append("X-Original-URL")  # in NGINX's dialect the proxy sends it
    for name in names:
        for good in ("/open/y", "", "https://nas.example.com/open/y", "/open/x"):
            assert outcome(dialect, "GET", "/open/x", [(name, good)], None) == "", (name, good)
        for bad in (
            "/dav/alice/y",
            "dav/alice/y",
            "https://evil.example/open/y",
            "/open/../dav",
            "?",
        ):
            actual = outcome(dialect, "GET", "/open/x", [(name, bad)], None)
            assert actual in ("override_denied", "token_missing"), (name, bad)
        deleting = [(name, "/public/x"), ("X-HTTP-Method", "DELETE")]
        assert outcome(dialect, "GET", "/open/x", deleting) == "override_denied"


def test_rules_without_paths_and_methods_refuse_only_another_host(dialect: str) -> None:
    without_paths = Rules([rule(AUTHENTICATED, host=HOST)])
    for headers in (destination("newdoc?rev=1"), destination("/x//../y"), destination("/b;c")):
        access = access_of(dialect, "COPY", "/db/doc", headers)
        assert decide(without_paths.match(access), access, ALICE, "").verdict is Verdict.ALLOW
    for headers in (destination("https://evil.example/"), []):
        with pytest.raises(AuthgwError, match="destination_denied"):
            access_of(dialect, "COPY", "/db/doc", headers)


def test_an_app_password_must_be_valid_for_both_targets(dialect: str) -> None:
    password = AppPassword("alice", "laptop", (glob("/dav/alice/**"),), None)
    for method, headers, allowed in (
        ("PUT", [], True),
        ("MOVE", destination("/dav/alice/y"), True),
        ("MOVE", destination("/dav/bob/y"), False),
        ("COPY", destination("y"), False),
        ("COPY", destination("/dav/alice/..%2fbob"), False),
        ("GET", [("X-Rewrite-URL", "/dav/bob/y")], False),
        ("POST", [("X-HTTP-Method-Override", "DELETE")], True),
    ):
        access = access_of(dialect, method, "/dav/alice/x", headers)
        assert password.allows(access, 0.0) == allowed, headers
    for path, allowed in (
        ("/dav/alice/St.", True),
        ("/dav/alice./x", False),
        ("/dav/alice%20/x", False),
    ):
        assert password.allows(access_of(dialect, "GET", path, []), 0.0) == allowed


def test_a_request_with_an_override_is_not_a_preflight() -> None:
    rules = Rules([rule(AUTHENTICATED, "/v1/**", preflight=True)])
    preflight = [("Origin", "https://a"), ("Access-Control-Request-Method", "GET")]
    plain = access_of("forwarded", "OPTIONS", "/v1/x", preflight)
    assert decide(rules.match(plain), plain, None, "token_missing").verdict is Verdict.ALLOW
    access = access_of("forwarded", "OPTIONS", "/v1/x", [*preflight, ("X-HTTP-Method", "PUT")])
    assert decide(rules.match(access), access, None, "token_missing").verdict is Verdict.LOGIN


@pytest.mark.parametrize("stricter", [DAV[0], DAV[3]])
def test_the_strictest_settings_for_foreign_credentials_apply(stricter: Any) -> None:
    lenient = [replace(entry, connection_auth=True) for entry in DAV]
    rules = [
        replace(entry, denies_foreign=True, connection_auth=False) if entry is stricter else other
        for entry, other in zip(DAV, lenient, strict=True)
    ]
    moved = [("Destination", f"https://{HOST}/drop/x")]
    matched = Rules(rules).match(access_of("nginx", "MOVE", "/dav/alice/x", moved)).rule
    assert matched is not None
    assert (matched.denies_foreign, matched.connection_auth) == (True, False)
    matched = Rules(lenient).match(access_of("nginx", "MOVE", "/dav/alice/x", moved)).rule
    assert matched is not None
    assert (matched.denies_foreign, matched.connection_auth) == (False, True)


def test_the_settings_of_a_further_target_apply_next_to_a_public_page() -> None:
    rules = [rule(ANYONE, "/public/**", host=HOST), *DAV]
    rules = [replace(entry, denies_foreign=entry is DAV[3]) for entry in rules]
    moved = [("Destination", f"https://{HOST}/drop/x")]
    matched = Rules(rules).match(access_of("nginx", "MOVE", "/public/x", moved)).rule
    assert matched is not None
    for foreign in (
        Authorization(AuthorizationKind.FOREIGN),
        Authorization(AuthorizationKind.FOREIGN, binds_connection=True),
    ):
        assert refusal(foreign, matched)
    lenient = [replace(entry, connection_auth=not entry.allow.anyone) for entry in rules]
    lenient = [replace(entry, denies_foreign=False) for entry in lenient]
    matched = Rules(lenient).match(access_of("nginx", "MOVE", "/public/x", moved)).rule
    assert matched is not None
    assert not refusal(Authorization(AuthorizationKind.FOREIGN, binds_connection=True), matched)
