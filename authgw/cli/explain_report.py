"""Report of `authgw rules explain`: the decision about a request, as text or JSON."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from authgw.config.loader import ConfigError, LoadedConfig
from authgw.core.errors import AuthgwError, OperatorError, ProviderRefusedError
from authgw.core.explain import Explanation, explain
from authgw.core.model import AccessRequest, Principal, Verdict
from authgw.core.providers.admission import admit
from authgw.core.rules import NO_RULES, Credential, Rule
from authgw.core.urls import canonical_method, location_from
from authgw.dialects.nginx import NGINX
from authgw.doctor import provider_claims
from authgw.identity.users_file import load_users

_STATUS = {Verdict.ALLOW: 0, Verdict.DENY: 1, Verdict.LOGIN: 3}  # 2 is wrong usage


class AccountRefusedError(OperatorError):
    """Raised for the claims of an account that may not log in."""


@dataclass(frozen=True, slots=True)
class RuleReport:
    """An explanation and the response headers that the proxy would receive."""

    explanation: Explanation
    headers: tuple[tuple[str, str], ...]

    @property
    def status(self) -> int:
        """Exit status: 0 allowed, 1 denied, 3 login required."""
        return _STATUS[self.explanation.decision.verdict]

    def as_text(self) -> str:
        """Return the report as lines of text."""
        decision, rule = self.explanation.decision, self.explanation.rule
        because = f": {decision.detail or decision.reason}" if decision.reason else ""
        lines = [f"{decision.verdict.value}{because}"]
        lines.append(f"decided by {rule.name}" if rule else "decided by no rule")
        lines += (
            [f"an Authorization header that is not authgw's {_foreign_in_words(rule)}"]
            if rule
            else []
        )
        lines += [f"  {name}: {value}" for name, value in self.headers]
        lines += [f"near miss {miss.rule.name}: {miss.why}" for miss in self.explanation.near]
        return "\n".join(lines)

    def as_json(self) -> str:
        """Return the report as a JSON object."""
        decision, rule = self.explanation.decision, self.explanation.rule
        report: dict[str, Any] = {
            "verdict": decision.verdict.value,
            "reason": decision.reason,
            "detail": decision.detail,
            "rule": {"number": rule.number, "origin": rule.origin} if rule else None,
            "foreign": _foreign_in_words(rule) if rule else None,
            "headers": dict(self.headers),
            "near": [
                {"number": miss.rule.number, "origin": miss.rule.origin, "why": miss.why}
                for miss in self.explanation.near
            ],
        }
        return json.dumps(report)


def _foreign_in_words(rule: Rule) -> str:
    """Describe the rule's treatment of an Authorization header that is not authgw's."""
    if rule.allow.anyone:
        return "passes"
    if not rule.accepts(Credential.COOKIE):
        return "is refused: this rule accepts no cookie"
    if rule.denies_foreign:
        return "is refused (foreign: deny)"
    if rule.connection_auth:
        return "passes next to a session cookie, NTLM and Negotiate too (upstream_auth: connection)"
    return "passes next to a session cookie, except NTLM and Negotiate"


def explain_request(
    loaded: LoadedConfig,
    method: str,
    url: str,
    principal: Principal | None,
    *,
    address: str,
) -> RuleReport:
    """Return the decision about a request; without a principal it is anonymous.

    Raises:
        ConfigError: the method or the URL is malformed.
    """
    scheme, _, rest = url.partition("://")
    authority, slash, target = rest.partition("/")
    try:
        location = location_from(scheme, authority, f"{slash or '/'}{target}")
        access = AccessRequest(canonical_method(method), location, address)
        access = loaded.settings.login.sites.with_public_scheme(access)
    except AuthgwError as error:
        raise ConfigError([f"{method} {url}: {error.detail}"]) from None
    explanation = explain(loaded.rules or NO_RULES, access, principal)
    if loaded.rules is None:
        explanation = replace(explanation, rule=None)
    page = loaded.settings.login.sites.covering(access.location.host)
    reply = NGINX.render(
        explanation.decision,
        access,
        identity=loaded.settings.headers.identity,
        login_url=page.url if page else None,
    )
    return RuleReport(explanation, reply.headers)


def principal_of_user(
    loaded: LoadedConfig, user: str | None, groups: tuple[str, ...]
) -> Principal | None:
    """Return the principal of a user with further groups; None without `user` and `groups`.

    Raises:
        UsersFileError: the users file cannot be used.
    """
    if user is None and not groups:
        return None
    entry = load_users(loaded.path(loaded.settings.auth.users)).get(user or "")
    if entry is None:
        return Principal(user or "somebody", "", groups)
    if not entry.may_log_in:
        return None
    return Principal(user or "", "", (*entry.groups, *groups), entry.profile)


def principal_of_account(loaded: LoadedConfig, provider_name: str, file: Path) -> Principal:
    """Return the principal of an account of a provider with the claims of a file.

    Raises:
        AccountRefusedError: the account may not log in; the message is the cause.
        OperatorError: the provider does not exist, or a file cannot be used.
    """
    provider = provider_claims.provider_without_secrets(loaded, provider_name)
    try:
        claims = provider_claims.read_claims(file, provider)
        admitted = admit(provider, claims, provider_claims.accounts_of(loaded))
    except ProviderRefusedError as error:
        raise AccountRefusedError(provider_claims.refusal_text(error, provider_name)) from None
    profile = {"email": admitted.email, "name": admitted.name}
    return Principal(
        admitted.sub,
        "",
        admitted.groups,
        {name: value for name, value in profile.items() if value},
        admitted.has_factor,
        admitted.source,
    )
