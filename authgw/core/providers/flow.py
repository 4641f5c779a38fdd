"""A login at an identity provider, from the redirect to the provider to its response.

Authorization code flow (OpenID Connect Core section 3.1) with PKCE (RFC 7636). No replica keeps
state: a signed ticket in a cookie of the browser has the content of `FlowTicket`, and all secrets
of the flow follow from the ticket (`FlowSecrets`).
"""

import hashlib
import hmac
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args
from urllib.parse import urlencode, urlsplit

from authgw.core.base64url import base64url
from authgw.core.errors import FlowInvalidError
from authgw.core.limits import MAX_CODE_BYTES, MAX_FLOW_RD_BYTES
from authgw.core.providers.model import Provider
from authgw.core.redirects import front_page
from authgw.core.strict_json import read_object

FLOW_LIFETIME = 600.0  # seconds from the redirect to the response
OFFLINE_SCOPE = "offline_access"  # OpenID Connect Core section 11

FlowPurpose = Literal["login", "link", "recheck"]
_PURPOSES = frozenset(get_args(FlowPurpose))
_SUFFIX_LENGTH = 8
_SUFFIX = re.compile(rf"[A-Za-z0-9_-]{{{_SUFFIX_LENGTH}}}")
_STATE = re.compile(r"[A-Za-z0-9_-]{43}")
# VSCHAR and NQSCHAR of RFC 6749 appendix A.
_CODE = re.compile(rf"[ -~]{{1,{MAX_CODE_BYTES}}}")
_ERROR = re.compile(r"[ !#-\[\]-~]{1,64}")
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
_QUOTES = len(_ENCODE(_ENCODE("")))


@dataclass(frozen=True, slots=True)
class FlowTicket:
    """Content of a flow's ticket.

    `site` is the URL of the login page to which the provider leads back, `rd` the return target;
    with `cut` it is the front page of a host, because the link was too long. `sid` and `account`
    are those of the session that started the flow, empty without a session. `prompted` means that
    the provider had to show a page (`prompt`).
    """

    purpose: FlowPurpose
    site: str
    rd: str = ""
    cut: bool = False
    sid: str = ""
    account: str = ""
    prompted: bool = False

    def encode(self) -> str:
        """Return the mark of the ticket; a return target that is too long is cut."""
        rd, cut = fitting_target(self.rd, cut=self.cut)
        return _ENCODE(asdict(self) | {"rd": rd, "cut": cut})

    @classmethod
    def decode(cls, mark: str) -> "FlowTicket":
        """Return the content of a verified ticket.

        Raises:
            FlowInvalidError: another version of authgw made the ticket.
        """
        try:
            members = read_object(mark.encode())
            ticket = cls(**members)
        except (ValueError, TypeError):
            raise FlowInvalidError(cause="flow_cookie") from None
        texts = (ticket.site, ticket.rd, ticket.sid, ticket.account)
        if {*map(type, texts)} != {str} or {type(ticket.cut), type(ticket.prompted)} != {bool}:
            raise FlowInvalidError(cause="flow_cookie")
        if not isinstance(ticket.purpose, str) or ticket.purpose not in _PURPOSES:
            raise FlowInvalidError(cause="flow_cookie")
        return ticket


def fitting_target(rd: str, *, cut: bool = False) -> tuple[str, bool]:
    """Return a return target that fits into a ticket, with True if the link had to be cut.

    A target over MAX_FLOW_RD_BYTES becomes the front page of its host, empty without a valid host;
    so does text that no browser may be redirected to.
    """
    # As it is written: a mark is a JSON text within the JSON text of the ticket's claims.
    if rd.isprintable() and len(_ENCODE(_ENCODE(rd))) - _QUOTES <= MAX_FLOW_RD_BYTES:
        return rd, cut
    return front_page(rd), True


@dataclass(frozen=True, slots=True)
class FlowSecrets:
    """State, nonce and PKCE verifier of a flow; `challenge` is S256 of the verifier."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    challenge: str

    @classmethod
    def of(cls, secret: bytes) -> "FlowSecrets":
        """Derive them from the secret of the ticket (`Issuer.secret_of`)."""
        state, nonce, verifier = (
            _digest(f"authgw/1/flow/{label}\0".encode() + secret)
            for label in ("state", "nonce", "verifier")
        )
        # RFC 7636 section 4.2.
        return cls(state, nonce, verifier, _digest(verifier.encode("ascii")))

    def has_state(self, state: str) -> bool:
        """Return True if this is the state of the flow."""
        return hmac.compare_digest(self.state.encode(), state.encode())


def cookie_suffix(state: str) -> str:
    """Return the end of the name of the cookie with the ticket of this flow."""
    return state[:_SUFFIX_LENGTH]


def is_cookie_suffix(text: str) -> bool:
    """Return True if a cookie of a flow can end like this."""
    return _SUFFIX.fullmatch(text) is not None


def authorization_url(
    endpoint: str,
    provider: Provider,
    redirect_uri: str,
    secrets: FlowSecrets,
    *,
    scopes_supported: Collection[str] = (),
    prompt: str = "",
    login_hint: str = "",
) -> str:
    """Return the URL of an authorization request (OpenID Connect Core section 3.1.2.1).

    Args:
        endpoint: The authorization endpoint; its query is kept (RFC 6749 section 3.1).
        provider: Its `extra` cannot replace a parameter of the flow.
        redirect_uri: The address of the callback on the login site of the flow.
        secrets: The secrets of the flow.
        scopes_supported: The scopes that the metadata list, empty if they list none.
        prompt: Added to a `prompt` of `provider.extra`; `none` stands alone.
        login_hint: The account to log in with, empty for the user's choice.
    """
    parameters: dict[str, str] = {
        **provider.extra,
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(_scopes(provider, scopes_supported)),
        "state": secrets.state,
        "code_challenge": secrets.challenge,
        "code_challenge_method": "S256",
    }
    if provider.kind == "oidc":
        parameters["nonce"] = secrets.nonce
    parameters |= _prompt(provider.extra, prompt)
    if login_hint:
        parameters["login_hint"] = login_hint
    parts = urlsplit(endpoint)
    query = "&".join(filter(None, (parts.query, urlencode(parameters))))
    return parts._replace(query=query, fragment="").geturl()


def _scopes(provider: Provider, supported: Collection[str]) -> tuple[str, ...]:
    scopes = provider.scopes
    if provider.kind != "oidc" or provider.refresh is None or OFFLINE_SCOPE in scopes:
        return scopes
    # Google refuses this scope; it is not in the list of its metadata.
    return scopes if supported and OFFLINE_SCOPE not in supported else (*scopes, OFFLINE_SCOPE)


def supported_prompt(prompt: str, supported: Collection[str]) -> str:
    """Return the prompt that comes closest to this one, empty without any.

    `supported` are the `prompt_values_supported` of the metadata (OpenID Connect Prompt Create 1.0
    section 5), empty if they list none. A login page is a choice of the account as well.
    """
    if not prompt or not supported or prompt in supported:
        return prompt
    return "login" if "login" in supported else ""


def _prompt(extra: Mapping[str, str], prompt: str) -> dict[str, str]:
    if not prompt:
        return {}
    configured = [word for word in extra.get("prompt", "").split() if word != "none"]
    words = [prompt] if prompt == "none" else dict.fromkeys((*prompt.split(), *configured))
    return {"prompt": " ".join(words)}


@dataclass(frozen=True, slots=True)
class CallbackCode:
    """A response with an authorization code."""

    code: str = field(repr=False)
    state: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CallbackError:
    """A response with an error (RFC 6749 section 4.1.2.1), such as `access_denied`."""

    error: str
    state: str = field(repr=False)


def read_callback(
    pairs: Sequence[tuple[str, str]], *, issuer: str | None, iss_promised: bool
) -> CallbackCode | CallbackError:
    """Return the response in the query of a callback; its state is not verified yet.

    Args:
        pairs: Names and values of the query, decoded.
        issuer: The issuer of the provider; None for a provider that is not identified by `iss`.
        iss_promised: The metadata have `authorization_response_iss_parameter_supported`.

    Raises:
        FlowInvalidError: a parameter is duplicated (RFC 6749 section 3.1), not exactly one of code
            and error is present and valid, the state is missing or has another form, or `iss` is
            that of another issuer or missing although promised (RFC 9207 section 2.4).
    """
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise FlowInvalidError(cause="flow_parameters")
    state = parameters.get("state", "")
    if not _STATE.fullmatch(state):
        raise FlowInvalidError(cause="flow_state")
    _check_issuer(parameters, issuer, iss_promised)
    code, error = parameters.get("code"), parameters.get("error")
    if code is not None and error is None and _CODE.fullmatch(code):
        return CallbackCode(code, state)
    if error is not None and code is None and _ERROR.fullmatch(error):
        return CallbackError(error, state)
    raise FlowInvalidError(cause="flow_parameters")


def _check_issuer(parameters: Mapping[str, str], issuer: str | None, promised: bool) -> None:
    if issuer is None:
        return
    # Simple string comparison (RFC 3986 section 6.2.1), without any normalization.
    if parameters.get("iss", None if promised else issuer) != issuer:
        raise FlowInvalidError(cause="flow_iss")


def _digest(text: bytes) -> str:
    return base64url(hashlib.sha256(text).digest()).decode("ascii")
