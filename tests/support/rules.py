"""Rules, and callers that they judge."""

from typing import Any

from authgw.core.model import AccessRequest, Location, Principal, Verdict
from authgw.core.rules import Allow, Rule, Rules, decide, glob

ANYONE, AUTHENTICATED = Allow(anyone=True), Allow(authenticated=True)
ADMINS = Allow(groups=frozenset({"admins"}))
USER, ADMIN = Principal("u", "s", ("users",)), Principal("a", "s", ("admins",))


def asked(
    path: str = "/",
    host: str = "app.example.com",
    method: str = "GET",
    address: str = "192.0.2.1",
    preflight: str | None = None,
) -> AccessRequest:
    return AccessRequest(
        method, Location("https", host, path, ""), address, preflight_method=preflight
    )


def rule(allow: Allow, *paths: str, host: str | None = None, **more: Any) -> Rule:
    return Rule("here", allow, host, tuple(map(glob, paths)), **more)


def verdict(rules: list[Rule], access: AccessRequest, who: Principal | None) -> Verdict:
    return decide(Rules(rules).match(access), access, who, "token_missing").verdict
