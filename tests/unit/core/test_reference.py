"""Random requests through describe and decide, compared with the reference evaluator."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authgw.config.schema import HeaderSettings
from authgw.core.errors import AuthgwError
from authgw.core.model import Decision, Principal, Verdict
from authgw.core.networks import TrustedProxies
from authgw.core.reasons import REASONS
from authgw.core.rules import Rules, decide
from authgw.dialects.base import Subrequest
from authgw.dialects.envoy import ENVOY
from authgw.dialects.forwarded import FORWARDED
from authgw.dialects.headers import RawHeaders
from authgw.dialects.nginx import NGINX
from tests.support import reference
from tests.support.random_rules import HOSTS, METHODS, a_line, a_path, compiled
from tests.support.reference import RuleQuery, WrittenRule

TRUSTED = TrustedProxies.parse(("127.0.0.1/32",))
NAMES = HeaderSettings().identity
CALLERS = [None, Principal("alice", "s", ("users",)), Principal("bob", "s", ("admins", "users"))]
ADDRESSES = ["192.0.2.1", "10.1.2.3"]
outcomes: Counter[str] = Counter()


def subrequest_of(
    dialect: str, request: RuleQuery, dice: random.Random
) -> tuple[str, str, RawHeaders]:
    """Return method, path and headers of the subrequest that each proxy would send."""
    uri = request.path + dice.choice(["", "?x=/public", "?a#b"])
    method, path, headers = "GET", "/authenticate", []
    if dialect == "nginx":
        headers = [
            ("X-Original-URL", f"http://{request.host}{uri}"),
            ("X-Original-Host", request.host),
            ("X-Original-Method", request.method),
        ]
    elif dialect == "forwarded":
        headers = [
            ("X-Forwarded-Method", request.method),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", request.host),
            ("X-Forwarded-Uri", uri),
        ]
    else:
        method, path, headers = (
            request.method,
            f"/authenticate/envoy{uri}",
            [("Host", request.host)],
        )
    headers.append(("X-Forwarded-For", request.address))
    if request.preflight is not None:
        headers += [("Origin", "https://a"), ("Access-Control-Request-Method", request.preflight)]
    raw = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in headers]
    return method, path, raw


def corrupted(raw: RawHeaders, dice: random.Random) -> RawHeaders:
    """Return the headers with a change that must never lead to an allow."""
    changed = list(raw)
    kind = dice.randrange(4)
    if kind == 0:
        changed.append((dice.choice([b"Remote-User", b"remote_groups", b"REMOTE.NAME"]), b"x"))
    elif kind == 1:
        changed.append((changed[0][0].lower(), changed[0][1]))
    elif kind == 2:
        del changed[0]
    else:
        name, value = changed[0]
        changed[0] = (name, value + dice.choice([b"\x00", b"\r\nX: y", b" \x7f"]))
    return changed


@pytest.mark.slow
@settings(max_examples=25)
@given(st.integers(min_value=0))
def test_decisions_equal_those_of_the_reference(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(20):
        lines = [a_line(dice) for _ in range(dice.randint(1, 6))]
        rules = compiled(lines)
        for _ in range(50):
            compare(lines, rules, dice)


def compare(lines: list[WrittenRule], rules: Rules, dice: random.Random) -> None:
    caller = dice.choice(CALLERS)
    request = RuleQuery(
        host=dice.choice(HOSTS),
        path=a_path(dice),
        method=dice.choice(METHODS),
        address=dice.choice(ADDRESSES),
        preflight=dice.choice([None, None, "POST", "DELETE"]),
        groups=caller.groups if caller else (),
        sub=caller.sub if caller else None,
    )
    name = dice.choice(["nginx", "forwarded", "envoy"])
    dialect = {"nginx": NGINX, "forwarded": FORWARDED, "envoy": ENVOY}[name]
    method, path, raw = subrequest_of(name, request, dice)
    bad = dice.random() < 0.1
    peer = "127.0.0.1" if dice.random() < 0.98 else "127.0.0.2"
    try:
        access = dialect.describe(
            Subrequest(method, path, corrupted(raw, dice) if bad else raw, peer), TRUSTED, NAMES
        )
        decision = decide(rules.match(access), access, caller, "token_missing")
    except AuthgwError as error:
        access, decision = None, Decision(Verdict.DENY, error.code)
    reply = dialect.render(decision, access, identity=NAMES, login_url="https://l.test/")
    allowed = decision.verdict is Verdict.ALLOW
    assert allowed == (reply.status == 200)
    assert allowed or decision.reason in REASONS
    outcomes[f"{decision.verdict.value} {decision.reason}"] += 1
    plain = not bad and peer == "127.0.0.1" and request.method in METHODS[:6]
    if plain and access is not None:
        assert allowed == reference.allows(lines, request), (lines, request)
    else:
        assert not allowed


def test_random_requests_reach_all_reasons() -> None:
    outcomes.clear()
    dice = random.Random(7)
    for _ in range(100):
        lines = [a_line(dice) for _ in range(4)]
        rules = compiled(lines)
        for _ in range(20):
            compare(lines, rules, dice)
    reached = {outcome.split()[-1] for outcome in outcomes}
    assert reached >= {
        "allow",
        "token_missing",
        "not_permitted",
        "no_rule",
        "path_ambiguous",
        "identity_header_from_client",
        "target_missing",
        "target_malformed",
        "target_duplicated",
        "untrusted_proxy",
    }
