"""Pages of logins at identity providers: the buttons, the question before a switch, and problems.

No page contains text of the provider: its `error_description` could say anything.
"""

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from authgw.core.errors import (
    AuthgwError,
    FlowInvalidError,
    ProviderRefusedError,
    ProviderUnavailableError,
    TooManyFailuresError,
)
from authgw.core.login_sites import LoginSite
from authgw.core.providers.model import Provider
from authgw.core.reasons import REASONS
from authgw.web.context import GATEWAY, request_id
from authgw.web.html import page
from authgw.web.login_steps import error_message, form_page, refused
from authgw.web.provider_parts import ProviderParts
from authgw.web.return_target import ReturnTarget

_AWAY_SHOWN = 60.0  # seconds after a failed call in which the button says so
# What a refused user can do, by cause; all other causes are for the operator only.
_ADVICE = {
    "account_blocked": "This account is blocked.",
    "name_is_user": "A user with this name exists here, and your account is not linked to it.",
    "name_bound": "Your name belongs to another account here.",
    "name_unbound": "Nobody has permitted this account yet.",
    "email_unverified": "Confirm your e-mail address there first.",
    "account_taken": "It is linked to another user, or has a name of its own here.",
}


@dataclass(frozen=True, slots=True)
class ProviderButton:
    """A button of the login page; `note` is a sentence below it, empty without one."""

    name: str
    label: str
    start: str
    has_icon: bool
    note: str = ""


def start_path(site: LoginSite, name: str, target: ReturnTarget, *, anew: bool = False) -> str:
    """Return the path that starts a login; `anew` makes the provider show its accounts.

    The return target comes last: the script of the pages adds the fragment to it.
    """
    path = f"{site.base}/oidc/{name}"
    if not anew:
        return target.after(path)
    chosen = target.after(path)
    head, question, rest = chosen.partition("?")
    return f"{head}?again=yes&{rest}" if question else f"{head}?again=yes"


def buttons(
    request: web.Request,
    parts: ProviderParts,
    site: LoginSite,
    target: ReturnTarget,
    *,
    anew: bool,
) -> list[ProviderButton]:
    """Return the buttons of all providers, in the order of the configuration."""
    now = request[GATEWAY].services.clock()
    return [
        ProviderButton(
            name,
            provider.label or name,
            start_path(site, name, target, anew=anew),
            name in parts.icons,
            "It could not be reached a moment ago."
            if now - parts.away.get(name, 0.0) < _AWAY_SHOWN
            else "",
        )
        for name, provider in parts.logins.providers.items()
    ]


def switch_page(
    request: web.Request, site: LoginSite, provider: Provider, target: ReturnTarget, who: str
) -> web.Response:
    """Return the page that asks a logged-in user before another login."""
    return form_page(
        request,
        site,
        "provider_switch",
        target,
        who=who,
        provider=provider.name,
        label=provider.label or provider.name,
        stay=target.after(site.base),
    )


def failure_page(
    request: web.Request,
    site: LoginSite,
    provider: Provider,
    target: ReturnTarget | None,
    error: AuthgwError,
) -> web.Response:
    """Return the page of a login that failed; `target` is None if no flow of ours is known."""
    title, messages, button = _words(provider.label or provider.name, error)
    anew = not isinstance(error, FlowInvalidError | ProviderUnavailableError)
    known = target or ReturnTarget()
    again = start_path(site, provider.name, known, anew=anew)
    if target is None:
        again = known.after(site.base, switch="yes")
    return refused(
        problem(
            request,
            error,
            title=title,
            messages=messages,
            again=again,
            button=button,
            elsewhere=known.after(site.base, switch="yes"),
            elsewhere_text="Other ways to log in",
        ),
        error,
    )


def recheck_page(
    request: web.Request, error: AuthgwError, again: str, elsewhere: str
) -> web.Response:
    """Return the page of a session that its provider could not confirm."""
    return refused(
        problem(
            request,
            error,
            title="Try again in a moment",
            messages=[
                "Your login has to be confirmed by your identity provider, which cannot be reached "
                "right now. You are still logged in."
            ],
            again=again,
            button="Try again",
            elsewhere=elsewhere,
            elsewhere_text="Log in again",
        ),
        error,
    )


def problem(request: web.Request, error: AuthgwError, **context: Any) -> web.Response:
    """Return a page of a problem with an identity provider."""
    return page(
        request,
        "provider_problem",
        answered=error.status,
        status=error.status,
        code=error.code,
        request_id=request_id(request),
        **context,
    )


def _words(label: str, error: AuthgwError) -> tuple[str, list[str], str]:
    """Return title, sentences and button of the page of this error."""
    if isinstance(error, ProviderUnavailableError):
        messages = [f"{label} cannot be reached right now, or does not respond as it should."]
        return "This login does not work right now", messages, "Try again"
    if isinstance(error, ProviderRefusedError):
        if error.cause == "provider_error":
            messages = [f"The login at {label} was cancelled or refused there."]
            return "You were not logged in", messages, "Start again"
        messages = [f"You were not logged in with your account at {label}."]
        advice = _ADVICE.get(error.cause, "It may not log in here.")
        return "This account may not log in", [*messages, advice], "Use another account"
    if isinstance(error, TooManyFailuresError):
        return "Too many attempts", [error_message(error, "")], "Start again"
    if isinstance(error, FlowInvalidError):
        messages = [
            f"The response of {label} came too late, came twice, or belongs to a login of another "
            "browser."
        ]
        return "Start the login again", messages, "Start again"
    return "You cannot log in right now", [f"{REASONS[error.code].meaning.capitalize()}."], "Retry"
