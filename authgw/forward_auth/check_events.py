"""Events of checks: the decision, its target, the rule and the caller."""

from authgw.core.audit import NO_TARGET, Event, Target
from authgw.core.authorization import AuthorizationKind
from authgw.core.model import AccessRequest, Decision
from authgw.core.reasons import REASONS
from authgw.core.rules import ANY_SESSION, Rule
from authgw.forward_auth.caller import Caller
from authgw.forward_auth.pending_check import PendingCheck

# An Enum computes its `value` at each use, and these are part of each check.
_FOREIGN = AuthorizationKind.FOREIGN.value


def allowed_event(
    check: PendingCheck,
    decision: Decision,
    access: AccessRequest | None,
    caller: Caller,
    rule: Rule | None,
) -> Event:
    """Return the event of an allowed check."""
    sub, sid = (decision.principal.sub, decision.principal.sid) if decision.principal else ("", "")
    return Event(
        "allow",
        check.request_id,
        check.client_address,
        sub,
        sid,
        authorization=_foreign(caller),
        target=_target(access),
        status=200,
        rule=_rule_name(rule),
        credential=caller.credential,
    )


def denied_event(
    check: PendingCheck,
    decision: Decision,
    access: AccessRequest | None,
    caller: Caller,
    rule: Rule | None,
    status: int,
) -> Event:
    """Return the event of a refused check; `status` is that of the response to the proxy."""
    refusal = caller.refusal
    subject = decision.principal or refusal
    sub, sid = (subject.sub, subject.sid) if subject else ("", "")
    sentence = decision.detail or (refusal.note or refusal.detail if refusal else "")
    return Event(
        "deny",
        check.request_id,
        check.client_address,
        sub,
        sid,
        decision.reason,
        sentence or REASONS[decision.reason].meaning,
        _foreign(caller),
        _target(access),
        status,
        _rule_name(rule),
        caller.credential,
        refusal.cause if refusal else "",
    )


def repeated_event(event: Event, check: PendingCheck, caller: Caller) -> Event:
    """Return the event of a check whose response is cached; `event` is that of the first."""
    refusal = caller.refusal
    assert refusal is not None  # noqa: S101  it is cached under its reason
    return Event(
        event.name,
        check.request_id,
        event.address,
        refusal.sub,
        refusal.sid,
        event.reason,
        refusal.note or refusal.detail,
        _foreign(caller),
        event.target,
        event.status,
        event.rule,
        caller.credential,
        refusal.cause,
    )


def _target(access: AccessRequest | None) -> Target:
    """Return method, host and path of the target; its query may contain secrets."""
    if access is None:
        return NO_TARGET
    return Target(access.method, access.location.host, access.location.path)


def _rule_name(rule: Rule | None) -> str:
    return "" if rule is None or rule is ANY_SESSION else rule.name


def _foreign(caller: Caller) -> str:
    return _FOREIGN if caller.is_foreign else ""
