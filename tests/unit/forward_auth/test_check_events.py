"""Events of checks."""

from authgw.core.audit import NO_TARGET, Target
from authgw.core.errors import AppPasswordRefusedError, TokenExpiredError
from authgw.core.model import AccessRequest, Decision, Location, Principal, Verdict
from authgw.core.rules import ANY_SESSION, Allow, Rule
from authgw.dialects.base import Subrequest
from authgw.dialects.nginx import NGINX
from authgw.forward_auth.caller import ANONYMOUS, Caller
from authgw.forward_auth.check_events import allowed_event, denied_event, repeated_event
from authgw.forward_auth.pending_check import PendingCheck

ACCESS = AccessRequest("GET", Location("https", "a.test", "/x", "code=secret"), "192.0.2.1")
RULE = Rule("config.yml:9", Allow(authenticated=True), "a.test", number=2)
ALICE = Principal("alice", "s1")


def check() -> PendingCheck:
    pending = PendingCheck(None, Subrequest("GET", "/authenticate", (), "::1"), NGINX)  # type: ignore[arg-type]  # a context is needed for other parts only
    pending._request_id, pending._client_address = "r1", "192.0.2.1"
    return pending


def test_an_allowed_check_has_target_rule_and_credential_and_no_query() -> None:
    decision = Decision(Verdict.ALLOW, principal=ALICE)
    caller = Caller(ALICE, credential="cookie", is_foreign=True)
    event = allowed_event(check(), decision, ACCESS, caller, RULE)
    assert (event.name, event.request_id, event.address) == ("allow", "r1", "192.0.2.1")
    assert (event.sub, event.sid) == ("alice", "s1")
    assert event.target == Target("GET", "a.test", "/x")
    assert (event.rule, event.credential) == ("rules[2] (config.yml:9)", "cookie")
    assert (event.status, event.authorization, event.detail) == (200, "foreign", "GET a.test/x")
    assert "secret" not in str(event)


def test_without_rules_no_rule_is_named() -> None:
    decision = Decision(Verdict.ALLOW)
    for rule in (None, ANY_SESSION):
        assert allowed_event(check(), decision, None, ANONYMOUS, rule).rule == ""


def test_a_denied_check_explains_itself_by_decision_credential_or_reason() -> None:
    refused = Caller(None, TokenExpiredError(sub="alice", sid="s1"), credential="bearer")
    app_password = Caller(None, AppPasswordRefusedError(cause="app_password_path"))
    for caller, decision, sentence, cause in [
        (ANONYMOUS, Decision(Verdict.DENY, "no_rule"), "no rule matches the request", ""),
        (refused, Decision(Verdict.LOGIN, "token_expired"), "the token has expired", ""),
        (ANONYMOUS, Decision(Verdict.DENY, "not_permitted", ALICE, "needs b"), "needs b", ""),
        (
            app_password,
            Decision(Verdict.LOGIN, "app_password_refused"),
            "the app password is not for this path",
            "app_password_path",
        ),
    ]:
        event = denied_event(check(), decision, ACCESS, caller, RULE, 403)
        assert (event.sentence, event.cause, event.reason) == (sentence, cause, decision.reason)
        assert event.detail == f"403 GET a.test/x: {sentence}"
    event = denied_event(
        check(), Decision(Verdict.DENY, "target_missing"), None, refused, None, 403
    )
    assert (event.target, event.sub, event.sid) == (NO_TARGET, "alice", "s1")


def test_a_repeated_event_is_that_of_the_caller() -> None:
    decision = Decision(Verdict.LOGIN, "token_expired")
    callers = [
        Caller(None, TokenExpiredError(sub=sub, sid=f"s-{sub}"), None, foreign, credential)
        for sub, foreign, credential in [("alice", True, "cookie"), ("bob", False, "bearer")]
    ]
    first, second = [
        denied_event(check(), decision, ACCESS, caller, RULE, 401) for caller in callers
    ]
    assert repeated_event(first, check(), callers[1]) == second
