"""The request to an identity provider and its response: tickets, secrets, URL, callback."""

import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import replace
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core.errors import FlowInvalidError
from authgw.core.limits import MAX_CODE_BYTES, MAX_FLOW_RD_BYTES, MAX_TOKEN_BYTES
from authgw.core.providers.flow import (
    FLOW_LIFETIME,
    CallbackCode,
    CallbackError,
    FlowSecrets,
    FlowTicket,
    authorization_url,
    cookie_suffix,
    fitting_target,
    is_cookie_suffix,
    read_callback,
    supported_prompt,
)
from authgw.core.providers.model import Accept, Provider
from authgw.core.tokens import TicketClaims, TokenType
from tests.support.builders import NOW, an_issuer

ISSUER = "https://idp.example.com"
SITE = "https://auth.example.com"
BACK = f"{SITE}/login/oidc/company/callback"
TICKET = FlowTicket("link", SITE, "https://app.example.com/?a=b", True, "s" * 44, "123", True)
SECRETS = FlowSecrets.of(b"f" * 32)
STATE = SECRETS.state
COMPANY = Provider("company", "oidc", ISSUER, "authgw", Accept())
MAX_COOKIE_BYTES = 4096  # name and value (RFC 6265 section 6.1)


def cause_of(error: pytest.ExceptionInfo[FlowInvalidError]) -> str:
    return error.value.cause


@pytest.mark.parametrize("ticket", [TICKET, FlowTicket("login", SITE), FlowTicket("recheck", "")])
def test_a_ticket_is_decoded_as_it_was_encoded(ticket: FlowTicket) -> None:
    assert FlowTicket.decode(ticket.encode()) == ticket


@given(st.text(), st.booleans())
def test_any_return_target_can_be_encoded(rd: str, cut: bool) -> None:
    ticket = replace(TICKET, rd=rd, cut=cut)
    decoded = FlowTicket.decode(ticket.encode())
    assert (decoded.rd, decoded.cut) == fitting_target(rd, cut=cut)


@pytest.mark.parametrize(
    "mark",
    [
        "", "no JSON", "[]", "{}", '{"purpose":"login"}', "\ud800",
        '{"purpose":"login","purpose":"link","site":""}',
        '{"purpose":"login","site":"","more":1}',
        '{"purpose":"elevate","site":""}',
        '{"purpose":[],"site":""}',
        '{"purpose":"login","site":1}',
        '{"purpose":"login","site":"","rd":null}',
        '{"purpose":"login","site":"","sid":[]}',
        '{"purpose":"login","site":"","account":0}',
        '{"purpose":"login","site":"","cut":"yes"}',
        '{"purpose":"login","site":"","prompted":1}',
    ],
)  # fmt: skip  # rows of a table
def test_a_ticket_of_another_version_is_refused(mark: str) -> None:
    with pytest.raises(FlowInvalidError) as error:
        FlowTicket.decode(mark)
    assert cause_of(error) == "flow_cookie"


def test_a_return_target_up_to_the_limit_is_kept() -> None:
    start = "https://app.example.com/?q="
    longest = start + "x" * (MAX_FLOW_RD_BYTES - len(start))
    assert fitting_target(longest) == (longest, False)
    assert fitting_target(longest, cut=True) == (longest, True)
    assert fitting_target(longest + "x") == ("https://app.example.com/", True)
    assert fitting_target("/" + "x" * MAX_FLOW_RD_BYTES) == ("", True)
    assert fitting_target("https://app.example.com/\u202e") == ("", True)


@pytest.mark.parametrize("character", ["x", '"', "\\", "\u00e4", "\u20ac", "\U0001f600", "%C3%A4"])
def test_the_longest_return_target_fits_into_a_token_and_a_cookie(character: str) -> None:
    # Sites and issuers of usual length, and an account of the greatest length that is accepted.
    longest = max(
        (
            rd
            for n in range(1, MAX_FLOW_RD_BYTES)
            if not fitting_target(rd := f"https://app.example.com/{character * n}")[1]
        ),
        key=len,
    )
    ticket = FlowTicket("recheck", f"{SITE}/login", longest, False, "s" * 44, "a" * 255, True)
    claims = TicketClaims("j" * 22, FLOW_LIFETIME, ticket.encode())
    token = an_issuer().mint_ticket("company", TokenType.FLOW, claims, now=NOW)
    cookie = f"__Host-authgw-flow-{cookie_suffix(STATE)}"
    assert len(cookie) + len(token) <= min(MAX_TOKEN_BYTES, MAX_COOKIE_BYTES)
    verified = an_issuer().verify(token, TokenType.FLOW, now=NOW)
    assert FlowTicket.decode(verified.mark) == ticket


def test_the_secrets_follow_from_the_ticket_and_differ_from_each_other() -> None:
    assert FlowSecrets.of(b"f" * 32) == SECRETS
    values = {SECRETS.state, SECRETS.nonce, SECRETS.verifier, SECRETS.challenge}
    others = FlowSecrets.of(b"g" * 32)
    assert len(values | {others.state, others.nonce, others.verifier, others.challenge}) == 8
    assert {len(value) for value in values} == {43}


def test_the_challenge_is_s256_of_the_verifier() -> None:
    # RFC 7636 section 4.2.
    digest = hashlib.sha256(SECRETS.verifier.encode()).digest()
    assert SECRETS.challenge == urlsafe_b64encode(digest).decode().rstrip("=")


def test_no_secret_is_in_a_repr() -> None:
    shown = repr((SECRETS, CallbackCode("the code", STATE), CallbackError("e", STATE)))
    for secret in (STATE, SECRETS.nonce, SECRETS.verifier, "the code"):
        assert secret not in shown


def test_only_the_own_state_is_accepted() -> None:
    assert SECRETS.has_state(STATE)
    assert not SECRETS.has_state(SECRETS.nonce)
    assert not SECRETS.has_state("\u00e4")


def sent(provider: Provider, *, endpoint: str = f"{ISSUER}/auth", **more: str) -> dict[str, str]:
    url = authorization_url(endpoint, provider, BACK, SECRETS, **more)
    pairs = parse_qsl(urlsplit(url).query, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_an_authorization_request_has_state_nonce_and_pkce() -> None:
    assert sent(COMPANY) == {
        "response_type": "code",
        "client_id": "authgw",
        "redirect_uri": BACK,
        "scope": "openid profile email",
        "state": STATE,
        "nonce": SECRETS.nonce,
        "code_challenge": SECRETS.challenge,
        "code_challenge_method": "S256",
    }


def test_github_gets_neither_nonce_nor_offline_access() -> None:
    github = replace(COMPANY, kind="github", scopes=("read:user",), refresh=900.0)
    request = sent(github)
    assert request["scope"] == "read:user"
    assert "nonce" not in request
    assert request["code_challenge_method"] == "S256"


@pytest.mark.parametrize(
    ("refresh", "scopes", "supported", "expected"),
    [
        (None, ("openid",), (), "openid"),
        (None, ("openid",), ("openid", "offline_access"), "openid"),
        (900.0, ("openid",), (), "openid offline_access"),
        (900.0, ("openid",), ("openid", "offline_access"), "openid offline_access"),
        (900.0, ("openid",), ("openid", "email"), "openid"),
        (900.0, ("offline_access", "openid"), (), "offline_access openid"),
    ],
)
def test_offline_access_is_added_only_for_a_refresh_that_needs_it(
    refresh: float | None, scopes: tuple[str, ...], supported: tuple[str, ...], expected: str
) -> None:
    provider = replace(COMPANY, refresh=refresh, scopes=scopes)
    url = authorization_url(f"{ISSUER}/auth", provider, BACK, SECRETS, scopes_supported=supported)
    assert parse_qs(urlsplit(url).query)["scope"] == [expected]


@pytest.mark.parametrize(
    ("configured", "prompt", "expected"),
    [
        ("", "", None),
        ("login", "", "login"),
        ("", "select_account", "select_account"),
        ("consent", "select_account", "select_account consent"),
        ("login", "login", "login"),
        ("none", "login", "login"),
        ("consent", "none", "none"),
    ],
)
def test_prompts_are_combined(configured: str, prompt: str, expected: str | None) -> None:
    extra = {"prompt": configured} if configured else {}
    assert sent(replace(COMPANY, extra=extra), prompt=prompt).get("prompt") == expected


def test_extra_parameters_replace_none_of_the_flow() -> None:
    extra = {"hd": "example.com", "state": "x", "redirect_uri": "x", "code_challenge": "x"}
    request = sent(replace(COMPANY, extra=extra), login_hint="alice@example.com")
    assert request == sent(COMPANY) | {"hd": "example.com", "login_hint": "alice@example.com"}


def test_the_query_of_an_endpoint_is_kept() -> None:
    endpoint = f"{ISSUER}/auth?tenant=a%20b#part"
    url = authorization_url(endpoint, COMPANY, BACK, SECRETS)
    assert url.startswith(f"{ISSUER}/auth?tenant=a%20b&")
    assert "#" not in url
    assert sent(COMPANY, endpoint=endpoint) == sent(COMPANY) | {"tenant": "a b"}


def test_the_hint_with_an_id_token_is_never_sent() -> None:
    assert "id_token_hint" not in sent(COMPANY)


CODE = ("code", "c0de-._~")
GOOD = [CODE, ("state", STATE)]
ISS = ("iss", ISSUER)


@pytest.mark.parametrize(
    ("pairs", "promised"),
    [
        (GOOD, False),
        ([*GOOD, ISS], False),
        ([*GOOD, ISS], True),
        ([*GOOD, ("session_state", "x"), ("scope", "")], False),
        ([("state", STATE), ("code", "x" * MAX_CODE_BYTES)], False),
    ],
)
def test_a_callback_with_a_code_is_read(pairs: list[tuple[str, str]], promised: bool) -> None:
    found = read_callback(pairs, issuer=ISSUER, iss_promised=promised)
    assert found == CallbackCode(dict(pairs)["code"], STATE)


def test_a_callback_with_an_error_is_read() -> None:
    pairs = [("error", "access_denied"), ("error_description", "No."), ("state", STATE)]
    found = read_callback(pairs, issuer=ISSUER, iss_promised=False)
    assert found == CallbackError("access_denied", STATE)


def test_a_provider_that_is_not_identified_by_iss_may_send_any() -> None:
    pairs = [*GOOD, ("iss", "https://github.com/login/oauth")]
    found = read_callback(pairs, issuer=None, iss_promised=True)
    assert found == CallbackCode(CODE[1], STATE)


WRONG_ISSUERS = [
    "", f"{ISSUER}/", ISSUER.upper(), ISSUER[:-1], f" {ISSUER}", "https://evil.example",
    f"{ISSUER}:443",
]  # fmt: skip  # rows of a table


@pytest.mark.parametrize("promised", [False, True])
@pytest.mark.parametrize("iss", WRONG_ISSUERS)
@pytest.mark.parametrize("rest", [GOOD, [("error", "access_denied"), ("state", STATE)]])
def test_a_callback_of_another_issuer_is_refused(
    rest: list[tuple[str, str]], iss: str, promised: bool
) -> None:
    with pytest.raises(FlowInvalidError) as error:
        read_callback([*rest, ("iss", iss)], issuer=ISSUER, iss_promised=promised)
    assert cause_of(error) == "flow_iss"


def test_a_promised_issuer_must_be_present() -> None:
    with pytest.raises(FlowInvalidError) as error:
        read_callback(GOOD, issuer=ISSUER, iss_promised=True)
    assert cause_of(error) == "flow_iss"


@pytest.mark.parametrize(
    ("pairs", "cause"),
    [
        ([], "flow_state"),
        ([CODE], "flow_state"),
        ([CODE, ("state", "")], "flow_state"),
        ([CODE, ("state", STATE[:-1])], "flow_state"),
        ([CODE, ("state", STATE[:-1] + ";")], "flow_state"),
        ([CODE, ("state", STATE + "\n")], "flow_state"),
        ([("state", STATE)], "flow_parameters"),
        ([("state", STATE), ("code", "")], "flow_parameters"),
        ([("state", STATE), ("error", "")], "flow_parameters"),
        ([("state", STATE), ("code", "x" * (MAX_CODE_BYTES + 1))], "flow_parameters"),
        ([("state", STATE), ("code", "\u00e4")], "flow_parameters"),
        ([("state", STATE), ("code", "a\n")], "flow_parameters"),
        ([("state", STATE), ("error", "x" * 65)], "flow_parameters"),
        ([("state", STATE), ("error", 'a"b')], "flow_parameters"),
        ([*GOOD, ("error", "access_denied")], "flow_parameters"),
        ([*GOOD, ("error", "")], "flow_parameters"),
        ([("state", STATE), ("code", ""), ("error", "x")], "flow_parameters"),
        ([*GOOD, CODE], "flow_parameters"),
        ([*GOOD, ("state", STATE)], "flow_parameters"),
        ([*GOOD, ISS, ISS], "flow_parameters"),
        ([*GOOD, ("scope", "a"), ("scope", "b")], "flow_parameters"),
    ],
)
def test_any_other_callback_is_refused(pairs: list[tuple[str, str]], cause: str) -> None:
    with pytest.raises(FlowInvalidError) as error:
        read_callback(pairs, issuer=ISSUER, iss_promised=False)
    assert cause_of(error) == cause


NAMES = st.sampled_from(["code", "error", "state", "iss", "scope"])


@given(st.lists(st.tuples(NAMES, st.one_of(st.text(), st.sampled_from([STATE, ISSUER])))))
def test_any_query_is_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    try:
        found = read_callback(pairs, issuer=ISSUER, iss_promised=True)
    except FlowInvalidError:
        return
    assert sorted(name for name, _ in pairs if name != "scope") in (
        ["code", "iss", "state"],
        ["error", "iss", "state"],
    )
    assert found.state == STATE


def test_the_suffix_of_a_cookie_is_the_start_of_the_state() -> None:
    assert cookie_suffix(STATE) == STATE[:8]


def test_a_mark_is_compact_json() -> None:
    assert " " not in TICKET.encode()
    assert json.loads(TICKET.encode())["purpose"] == "link"


@pytest.mark.parametrize(
    ("prompt", "supported", "sent_prompt"),
    [
        ("", ("login",), ""),
        ("select_account", (), "select_account"),
        ("select_account", ("login", "select_account"), "select_account"),
        ("select_account", ("none", "login"), "login"),
        ("select_account", ("none", "consent"), ""),
        ("none", ("login",), "login"),
    ],
)
def test_a_prompt_that_the_metadata_exclude_is_replaced(
    prompt: str, supported: tuple[str, ...], sent_prompt: str
) -> None:
    assert supported_prompt(prompt, supported) == sent_prompt


def test_the_end_of_the_name_of_a_cookie_of_a_flow_is_recognized() -> None:
    suffix = cookie_suffix(STATE)
    assert is_cookie_suffix(suffix)
    for text in ("", suffix[:-1], suffix + "A", suffix[:-1] + ";", suffix[:-1] + "\u00e4"):
        assert not is_cookie_suffix(text)
