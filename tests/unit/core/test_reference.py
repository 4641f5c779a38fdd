"""100,000 random requests through describe and decide, beside the reference evaluator."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authgw.core.errors import REASONS, AuthgwError
from authgw.core.model import Decision, IdentityHeaders, Principal, Verdict
from authgw.core.networks import TrustedProxies
from authgw.core.rules import Rules, decide
from authgw.dialects import envoy, forwarded, nginx
from authgw.dialects.headers import RawHeaders
from tests.support import reference
from tests.support.random_rules import HOSTS, METHODS, a_line, a_path, compiled
from tests.support.reference import Asked, Line

TRUSTED = TrustedProxies.parse(("127.0.0.1/32",))
NAMES = IdentityHeaders()
CALLERS = [None, Principal("alice", "s", ("users",)), Principal("bob", "s", ("admins", "users"))]
ADDRESSES = ["192.0.2.1", "10.1.2.3"]
seen: Counter[str] = Counter()


def asked_by(dialect: str, asked: Asked, dice: random.Random) -> tuple[str, str, RawHeaders]:
    """Method, path and headers of the subrequest, as each proxy would send them."""
    uri = asked.path + dice.choice(["", "?x=/public", "?a#b"])
    method, path, said = "GET", "/authenticate", []
    if dialect == "nginx":
        said = [
            ("X-Original-URL", f"http://{asked.host}{uri}"),
            ("X-Original-Host", asked.host),
            ("X-Original-Method", asked.method),
        ]
    elif dialect == "forwarded":
        said = [
            ("X-Forwarded-Method", asked.method),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", asked.host),
            ("X-Forwarded-Uri", uri),
        ]
    else:
        method, path, said = asked.method, f"/authenticate/envoy{uri}", [("Host", asked.host)]
    said.append(("X-Forwarded-For", asked.address))
    if asked.preflight is not None:
        said += [("Origin", "https://a"), ("Access-Control-Request-Method", asked.preflight)]
    raw = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in said]
    return method, path, raw


def spoilt(raw: RawHeaders, dice: random.Random) -> RawHeaders:
    """The same, with something that must never lead to an allow."""
    kept = list(raw)
    kind = dice.randrange(4)
    if kind == 0:
        kept.append((dice.choice([b"Remote-User", b"remote_groups", b"REMOTE.NAME"]), b"x"))
    elif kind == 1:
        kept.append((kept[0][0].lower(), kept[0][1]))
    elif kind == 2:
        del kept[0]
    else:
        name, value = kept[0]
        kept[0] = (name, value + dice.choice([b"\x00", b"\r\nX: y", b" \x7f"]))
    return kept


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(min_value=0))
def test_decisions_equal_those_of_the_reference(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(20):
        lines = [a_line(dice) for _ in range(dice.randint(1, 6))]
        rules = compiled(lines)
        for _ in range(50):
            compare(lines, rules, dice)


def compare(lines: list[Line], rules: Rules, dice: random.Random) -> None:
    caller = dice.choice(CALLERS)
    asked = Asked(
        host=dice.choice(HOSTS),
        path=a_path(dice),
        method=dice.choice(METHODS),
        address=dice.choice(ADDRESSES),
        preflight=dice.choice([None, None, "POST", "DELETE"]),
        groups=caller.groups if caller else (),
        sub=caller.sub if caller else None,
    )
    name = dice.choice(["nginx", "forwarded", "envoy"])
    dialect = {"nginx": nginx, "forwarded": forwarded, "envoy": envoy}[name]
    method, path, raw = asked_by(name, asked, dice)
    bad = dice.random() < 0.1
    peer = "127.0.0.1" if dice.random() < 0.98 else "127.0.0.2"
    try:
        access = dialect.describe(
            method,
            path,
            spoilt(raw, dice) if bad else raw,
            peer=peer,
            trusted=TRUSTED,
            identity=NAMES,
        )
        decision = decide(rules.match(access), access, caller, "token_missing")
    except AuthgwError as error:
        access, decision = None, Decision(Verdict.DENY, error.code)
    reply = dialect.render(decision, access, identity=NAMES, login_url="https://l.test/")
    allowed = decision.verdict is Verdict.ALLOW
    assert allowed == (reply.status == 200)
    assert allowed or decision.reason in REASONS
    seen[f"{decision.verdict.value} {decision.reason}"] += 1
    plain = not bad and peer == "127.0.0.1" and asked.method in METHODS[:6]
    if plain and access is not None:
        assert allowed == reference.allows(lines, asked), (lines, asked)
    else:
        assert not allowed


def test_random_requests_reach_all_reasons() -> None:
    seen.clear()
    dice = random.Random(7)
    for _ in range(100):
        lines = [a_line(dice) for _ in range(4)]
        rules = compiled(lines)
        for _ in range(20):
            compare(lines, rules, dice)
    reached = {said.split()[-1] for said in seen}
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
