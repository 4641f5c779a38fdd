"""NGINX's dialect: recorded subrequests, refusals, responses."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.config.schema import HeaderSettings
from authgw.core import errors
from authgw.core.model import AccessRequest, Decision, Principal, Verdict
from authgw.core.networks import TrustedProxies
from authgw.core.urls import canonical_host
from authgw.dialects.base import Subrequest
from authgw.dialects.nginx import NGINX

RECORDED = json.loads((Path(__file__).parents[2] / "data" / "nginx_subrequests.json").read_text())
TRUSTED = TrustedProxies.parse(("127.0.0.0/8", "::1/128"))
NAMES = HeaderSettings().identity
GOOD = [
    ("X-Original-URL", "https://App.example.com./a?b=c"),
    ("X-Original-Host", "app.example.com"),
    ("X-Original-Method", "GET"),
]


def described(headers: list[tuple[str, str]], peer: str = "127.0.0.1") -> AccessRequest:
    raw = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in headers]
    return NGINX.describe(Subrequest("GET", "/authenticate", raw, peer), TRUSTED, NAMES)


def code_of(headers: list[tuple[str, str]], peer: str = "127.0.0.1") -> str:
    with pytest.raises(errors.AuthgwError) as caught:
        described(headers, peer)
    reply = NGINX.render(Decision(Verdict.DENY, caught.value.code), None, identity=NAMES)
    assert reply.status == 403
    return caught.value.code


def completed(case: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the recording with X-Original-Host, which the recipe sent only later."""
    host = {"absolute_form": "evil.example"}.get(case["name"])
    headers = [(name, value) for name, value in case["subrequest"]]
    sent = next(value for name, value in headers if name == "Host")
    return [*headers, ("X-Original-Host", host or canonical_host(sent))]


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: str(case["name"]))
def test_recorded_subrequests(case: dict[str, Any]) -> None:
    headers = [(name, value.encode("latin-1").decode("utf-8")) for name, value in completed(case)]
    if case["name"] == "absolute_form":
        assert code_of(headers) == "host_conflict"
        return
    access = described(headers)
    target = case["client"]["path"].encode("latin-1").decode("utf-8")
    path, _, query = target.partition("?")
    assert access.method == case["client"]["method"]
    assert access.location.host == "app.example.com"
    assert access.location.path == path
    if "<" not in query:
        assert access.location.query == query
    assert access.client_address == "127.0.0.1"
    assert NGINX.is_subrequest([(name.encode(), b"") for name, _ in headers])


def test_without_target_headers_it_is_a_direct_check() -> None:
    assert not NGINX.is_subrequest(
        [(b"Authorization", b"Bearer x"), (b"X-Forwarded-For", b"1.2.3.4")]
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"X-Original-URL": None}, "target_missing"),
        ({"X-Original-Host": None}, "target_missing"),
        ({"X-Original-Method": None}, "target_missing"),
        ({"X-Original-Method": ""}, "target_missing"),
        ({"X-Original-Method": "get"}, "target_malformed"),
        ({"X-Original-URL": "/a"}, "target_malformed"),
        ({"X-Original-URL": "ftp://app.example.com/"}, "target_malformed"),
        ({"X-Original-URL": "http://u@app.example.com/"}, "target_malformed"),
        ({"X-Original-URL": "http://app.example.com/\x01"}, "target_malformed"),
        ({"X-Original-URL": "http:///a"}, "target_malformed"),
        ({"X-Original-URL": "http://a,b/x"}, "target_malformed"),
        ({"X-Original-URL": "http://[::g]/x"}, "target_malformed"),
        ({"X-Original-URL": "http://[fe80::1%25eth0]/x"}, "target_malformed"),
        ({"X-Original-URL": "http://:80/x"}, "target_malformed"),
        ({"X-Original-URL": "http://xn--\udcff/x"}, "target_malformed"),
        # IDNA removes soft hyphens, however many there are.
        ({"X-Original-URL": "http://app.example.com" + "\xad" * 999 + "/"}, "target_malformed"),
        ({"X-Original-URL": "http://evil.example/a"}, "host_conflict"),
        ({"Connection": "close, Remote-User"}, "identity_header_from_client"),
    ],
)
def test_refusals(change: dict[str, str | None], code: str) -> None:
    merged = dict(GOOD) | change
    assert code_of([(name, value) for name, value in merged.items() if value is not None]) == code


@pytest.mark.parametrize("name", [name for name, _ in GOOD])
def test_a_duplicated_target_header_is_refused(name: str) -> None:
    assert code_of([*GOOD, (name, dict(GOOD)[name])]) == "target_duplicated"


@pytest.mark.parametrize("name", NAMES.names)
@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title])
@pytest.mark.parametrize("separator", ["-", "_", ".", "~"])
def test_identity_headers_from_a_client_are_denied(name: str, spell: Any, separator: str) -> None:
    header = spell(name.replace("-", separator))
    assert code_of([*GOOD, (header, "")]) == "identity_header_from_client"


def test_only_trusted_proxies_count() -> None:
    assert code_of(GOOD, "10.0.0.1") == "untrusted_proxy"
    assert code_of(GOOD, "unix") == "untrusted_proxy"
    assert code_of(GOOD, "nonsense") == "untrusted_proxy"
    assert code_of([("X-Forwarded-Uri", "/")]) == "wrong_dialect"
    assert described(GOOD, "::ffff:127.0.0.1").location.host == "app.example.com"
    assert TrustedProxies.parse(("unix",)).trusts("unix")
    assert not TrustedProxies.parse(()).trusts("127.0.0.1")


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7, 127.0.0.9", "203.0.113.7"),
        ("6.6.6.6, junk, 127.0.0.9", "unknown"),
        ("6.6.6.6, fe80::1%" + "z" * 99 + ", 127.0.0.9", "unknown"),
    ],
)
def test_x_forwarded_for_is_read_from_the_right(chain: str, address: str) -> None:
    assert described([*GOOD, ("X-Forwarded-For", chain)]).client_address == address


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("APP.Example.com.:8443", "app.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("[::1]:80", "[::1]"),
        ("127.0.0.1:4000", "127.0.0.1"),
        ("app.example.com:", "app.example.com"),
        ("app.example.com.:0443", "app.example.com"),
        ("[2001:DB8:0::1]:443", "[2001:db8::1]"),
        ("BÜCHER.example.:80", "xn--bcher-kva.example"),
    ],
)
def test_hosts_are_canonical(text: str, host: str) -> None:
    assert canonical_host(text) == host


@pytest.mark.parametrize("url", ["http:///a", "https:///a?b", "https:////a"])
def test_an_empty_host_over_http3_is_reported_with_the_remedy(url: str) -> None:
    with pytest.raises(errors.TargetMalformedError) as caught:
        described([("X-Original-URL", url), *GOOD[1:]])
    line = "proxy_set_header X-Original-URL $authgw_scheme://$authgw_authority$request_uri;"
    assert line in caught.value.detail
    assert "HTTP/3" in caught.value.detail


@given(st.text(), st.text(), st.text())
def test_any_text_raises_only_own_errors(url: str, host: str, method: str) -> None:
    texts = [("X-Original-URL", url), ("X-Original-Host", host), ("X-Original-Method", method)]
    raw = [(name.encode(), value.encode("utf-8", "replace")) for name, value in texts]
    with pytest.raises(errors.AuthgwError):
        NGINX.describe(Subrequest("GET", "/authenticate", raw, "127.0.0.1"), TRUSTED, NAMES)


def test_allow_has_all_four_identity_headers() -> None:
    principal = Principal("alice", "sid", ("a", "b"))
    reply = NGINX.render(Decision(Verdict.ALLOW, principal=principal), None, identity=NAMES)
    assert (reply.status, dict(reply.headers)) == (
        200,
        {
            "Remote-User": "alice",
            "Remote-Groups": "a,b",
            "Remote-Email": "",
            "Remote-Name": "",
            "Cache-Control": "no-store",
        },
    )
    anonymous = NGINX.render(Decision(Verdict.ALLOW), None, identity=NAMES)
    assert [value for _, value in anonymous.headers] == ["", "", "", "", "no-store"]


@pytest.mark.parametrize(
    ("code", "challenge"),
    [
        ("token_missing", 'Bearer realm="authgw"'),
        ("token_expired", 'Bearer realm="authgw", error="invalid_token"'),
        ("authorization_malformed", 'Bearer realm="authgw", error="invalid_request"'),
    ],
)
def test_login_is_a_401_with_a_challenge(code: str, challenge: str) -> None:
    reply = NGINX.render(Decision(Verdict.LOGIN, code), None, identity=NAMES)
    headers = dict(reply.headers)
    assert (reply.status, headers["WWW-Authenticate"]) == (401, challenge)
    assert headers["X-Authgw-Reason"] == code


def test_an_outage_of_the_store_is_never_a_denial() -> None:
    reply = NGINX.render(Decision(Verdict.DENY, "store_unavailable"), None, identity=NAMES)
    assert reply.status == 503
