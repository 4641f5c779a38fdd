"""The section `login.providers` of the configuration: identity providers for logins."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainValidator

from authgw.config.provider_parts import (
    ACCEPT_FORMS,
    LOGOUT_FORMS,
    AcceptSettings,
    FactorSettings,
    GroupSettings,
    LogoutSettings,
    word_or_section,
)
from authgw.config.provider_urls import issuer_problem
from authgw.config.section import Conflict, Section
from authgw.config.values import Boolean, Networks, PositiveDuration, RefreshInterval, Skew, Text
from authgw.core.keys import key_from_pem
from authgw.core.providers.model import (
    GITHUB_ISSUER,
    Accept,
    FactorClaims,
    GroupMapping,
    Provider,
)
from authgw.files import key_files

OIDC_SCOPES = ("openid", "profile", "email")
GITHUB_SCOPES = ("read:user", "user:email", "read:org")
ICON_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
# Parameters of the authorization request that the flow sets itself, or that would bring the
# response in a form without the cookie of the flow (OpenID Connect Core section 3.1.2.1).
_OWN_PARAMETERS = re.compile(
    r"state|nonce|redirect_uri|client_id|response_type|response_mode|code_challenge.*|scope|claims"
    r"|request.*|max_age|id_token_hint"
)
_PARAMETER = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# Keys of a provider that OAuth 2.0 without OpenID Connect has no use for.
_OIDC_ONLY = (
    "client_key_file",
    "second_factor",
    "refresh",
    "stale",
    "skew",
    "auth_time",
    "algorithms",
    "backchannel_from",
)


def _icon(text: str) -> str:
    if Path(text).suffix.lower() not in ICON_TYPES:
        raise ValueError("is not an SVG or PNG file: write a path that ends in .svg or .png")
    return text


def _parameters(extra: Mapping[str, str]) -> Mapping[str, str]:
    for name in extra:
        if _OWN_PARAMETERS.fullmatch(name.lower()):
            raise ValueError(
                f"contains {name}, which authgw sets itself: remove it (scope has a key of its "
                "own, scopes)"
            )
        if not _PARAMETER.fullmatch(name):
            raise ValueError("contains a name with characters that no parameter has: correct it")
    return extra


_AcceptWords = Literal["linked", "everyone"]
_LogoutWords = Literal["local", "idp"]


class ProviderSettings(Section):
    """Identity providers, by a name of lower-case letters, digits and dashes.

    The name is part of the redirect address to register at the provider:
    `https://LOGIN-HOST/login/oidc/NAME/callback`.
    """

    type: Annotated[Literal["oidc", "github"], Field(examples=["github"])] = "oidc"
    """`oidc` is OpenID Connect; `github` is OAuth 2.0 as GitHub has it."""
    issuer: Annotated[Text | None, Field(examples=["https://kc.example.com/realms/x"])] = None
    """Issuer of the provider, exactly as its discovery document has it.

    For `type: github` it is the URL of a GitHub Enterprise Server; github.com without it. Each
    provider has an issuer of its own.
    """
    client_id: Annotated[Text | None, Field(examples=["authgw"])] = None
    """Client ID from the registration at the provider."""
    client_secret_file: Annotated[Text | None, Field(examples=["secrets/kc"])] = None
    """File with the client secret; the provider demands it, or `client_key_file`."""
    client_key_file: Annotated[Text | None, Field(examples=["secrets/kc.pem"])] = None
    """File with a private key in PEM, in place of a client secret (`private_key_jwt`)."""
    label: Annotated[str | None, Field(min_length=1, max_length=64, examples=["Example Ltd"])] = (
        None
    )
    """Name on the button `Log in with ...`, at most 64 characters; the name if it is not set."""
    icon: Annotated[
        Annotated[Text, AfterValidator(_icon)] | None, Field(examples=["icons/kc.svg"])
    ] = None
    """File of the icon on the button, SVG or PNG, at most 64 KiB."""
    subject: Annotated[Text, Field(examples=["email"])] = "sub"
    """Claim that becomes the name of the user: `sub`, `email`, or another claim.

    `sub` needs no binding; every other name belongs to the first account that has it.
    """
    names: Annotated[Literal["prefixed", "plain"], Field(examples=["plain"])] = "prefixed"
    """`prefixed`: the name of the provider and a colon come before the name of the user.

    `plain`: names are as the provider sends them. A single provider can have it.
    """
    bind: Annotated[Literal["listed", "first"], Field(examples=["first"])] = "listed"
    """`listed`: only names that `authgw user` bound to an account may log in.

    `first`: a name is bound to the first account that logs in with it. Names by `subject: sub` need
    no binding.
    """
    accept: Annotated[
        AcceptSettings | _AcceptWords | None,
        PlainValidator(
            word_or_section(_AcceptWords, AcceptSettings, ACCEPT_FORMS),
            json_schema_input_type=AcceptSettings | _AcceptWords,
        ),
    ] = None
    """Accounts that may log in; the key is required.

    `linked`: those that `authgw user link` or `bind` named; `everyone`: every account of the
    provider; else a section with `domains`, `groups` or `tenant`, of which any is sufficient.
    """
    groups: GroupSettings = GroupSettings()
    second_factor: FactorSettings = FactorSettings()
    email: Annotated[Literal["verified", "trusted"], Field(examples=["trusted"])] = "verified"
    """`verified`: e-mail addresses count only with `email_verified: true`.

    `trusted`: every address of the provider counts. Write it only for a provider whose users cannot
    change their address themselves, since apps link accounts by it.
    """
    scopes: Annotated[tuple[Text, ...] | None, Field(examples=[("openid", "groups")])] = None
    """Scopes to request: `openid profile email`; of GitHub `read:user user:email read:org`."""
    refresh: Annotated[RefreshInterval | None, Field(examples=["15m"])] = None
    """Interval in which the account of a session is checked again at the provider, at least 1m.

    It needs a refresh token of the provider. Without it a session ends after `session`.
    """
    stale: Annotated[PositiveDuration, Field(examples=["8h"])] = 24 * 3600.0
    """Time for which a session lives on while the provider cannot be reached."""
    session: Annotated[PositiveDuration, Field(examples=["8h"])] = 12 * 3600.0
    """Lifetime of a session without `refresh`."""
    skew: Annotated[Skew, Field(examples=["5s"])] = 60.0
    """Difference between the clocks that is tolerated, at most 5m."""
    logout: Annotated[
        LogoutSettings | _LogoutWords,
        PlainValidator(
            word_or_section(_LogoutWords, LogoutSettings, LOGOUT_FORMS),
            json_schema_input_type=LogoutSettings | _LogoutWords,
        ),
    ] = "local"
    """`local`: a logout ends the session here; `idp`: at the provider, too.

    A section with `hint: true` is `idp` with the ID token as a hint.
    """
    auth_time: Annotated[Boolean, Field(examples=[False])] = True
    """False for a provider whose ID tokens have no `auth_time`."""
    algorithms: Annotated[
        tuple[Literal["RS256", "PS256", "ES256", "EdDSA"], ...], Field(examples=[("ES256",)])
    ] = ("RS256", "PS256", "ES256", "EdDSA")
    """Algorithms of signatures that are accepted."""
    extra: Annotated[
        dict[str, str], AfterValidator(_parameters), Field(examples=[{"prompt": "login"}])
    ] = Field(default={})
    """Further parameters of the authorization request, such as `prompt` or `hd`."""
    ca_file: Annotated[Text | None, Field(examples=["secrets/ca.pem"])] = None
    """File with the root certificates in PEM; those of the system without it."""
    backchannel_from: Annotated[Networks, Field(examples=[("10.0.0.0/8",)])] = ()
    """Networks from which the provider may report logouts; any without it."""

    @property
    def effective_issuer(self) -> str:
        """The issuer, also of a provider that does not set it."""
        return self.issuer or (GITHUB_ISSUER if self.type == "github" else "")

    @property
    def host(self) -> str:
        """The host of the provider."""
        return urlsplit(self.effective_issuer).hostname or ""

    @property
    def accepts_unlinked(self) -> bool:
        """True if accounts that nobody linked may log in."""
        return self.accept != "linked"

    def conflicts(self) -> Iterator[Conflict]:
        """Yield missing keys, keys of another type, and keys that contradict each other."""
        yield from self._missing()
        problem = issuer_problem(self.issuer) if self.issuer is not None else ""
        if self.type == "github":
            yield from self._of_another_type()
            if not problem and urlsplit(self.effective_issuer).path:
                problem = (
                    "has a path: write scheme and host only, such as https://github.example.com"
                )
        if problem:
            yield Conflict(("issuer",), problem, ("issuer", "type"))
        yield from self._contradictions()

    def _missing(self) -> Iterator[Conflict]:
        if "accept" not in self.model_fields_set:
            message = f"is missing: accept decides which accounts may log in: write {ACCEPT_FORMS}"
            yield Conflict(("accept",), message)
        if "client_id" not in self.model_fields_set:
            message = "is missing: write the client ID from the registration at the provider"
            yield Conflict(("client_id",), message)
        if self.type == "oidc" and "issuer" not in self.model_fields_set:
            message = "is missing: write the URL of the provider, or type: github"
            yield Conflict(("issuer",), message, ("type",))
        secrets = {"client_secret_file", "client_key_file"} & self.model_fields_set
        if not secrets:
            message = "is missing: write the file with the client secret"
            yield Conflict(("client_secret_file",), message)
        if len(secrets) > 1:
            message = "is set together with client_secret_file: keep one of them"
            yield Conflict(("client_key_file",), message)

    def _of_another_type(self) -> Iterator[Conflict]:
        for key in _OIDC_ONLY:
            if key in self.model_fields_set:
                message = "is for OpenID Connect, which GitHub does not have: remove it"
                yield Conflict((key,), message, ("type",))
        if self.logout != "local":
            message = "GitHub has no logout for apps: write logout: local, or remove it"
            yield Conflict(("logout",), message, ("type", "logout"))
        if isinstance(self.accept, AcceptSettings) and self.accept.tenant:
            message = "is for Entra ID: write {path}.groups or {path}.domains"
            yield Conflict(("accept", "tenant"), message, ("type", "accept"))

    def _contradictions(self) -> Iterator[Conflict]:
        domains = self.accept.domains if isinstance(self.accept, AcceptSettings) else ()
        if self.subject == "email" and not domains and self.email != "trusted":
            message = (
                "email lets every provider account choose its name: restrict {path}.accept to "
                "{domains: [...]}, or write {path}.email: trusted"
            )
            yield Conflict(("subject",), message, ("subject", "accept", "email"))
        if self.type == "oidc" and self.scopes is not None and "openid" not in self.scopes:
            message = "has no openid, without which there is no ID token: add openid"
            yield Conflict(("scopes",), message, ("type", "scopes"))
        if self.refresh and self.stale <= 2 * self.refresh:
            message = (
                "is not longer than twice {path}.refresh, so that sessions would end between two "
                "checks: lengthen it, or shorten {path}.refresh"
            )
            yield Conflict(("stale",), message, ("refresh", "stale"))
        if not self.algorithms:
            yield Conflict(("algorithms",), "is an empty list: write at least one value")

    def provider(self, name: str, directory: Path) -> Provider:
        """Return the provider with its secrets; paths are relative to `directory`.

        `client_key` is a `core.keys.Key` whose kid is the name of the file without its suffix.

        Raises:
            SigningKeyError: A file with a secret cannot be used; the message begins with its key.
        """
        key = f"login.providers.{name}"
        secret, client_key = "", None
        if self.client_secret_file:
            with key_files.naming_key(f"{key}.client_secret_file"):
                secret = key_files.read_line(directory / self.client_secret_file)
        if self.client_key_file:
            path = directory / self.client_key_file
            with key_files.naming_key(f"{key}.client_key_file"):
                client_key = key_from_pem(path.stem, key_files.read_secret(path))
        scopes = self.scopes or (GITHUB_SCOPES if self.type == "github" else OIDC_SCOPES)
        return Provider(
            name=name,
            kind=self.type,
            issuer=self.effective_issuer,
            client_id=self.client_id or "",
            accept=self._accept(),
            client_secret=secret,
            client_key=client_key,
            label=self.label or name,
            icon=self.icon or "",
            subject=self.subject,
            plain_names=self.names == "plain",
            binds_first=self.bind == "first",
            groups=self.group_mapping(name),
            second_factor=FactorClaims(
                frozenset(self.second_factor.amr), frozenset(self.second_factor.acr)
            ),
            trusts_email=self.email == "trusted",
            scopes=tuple(scopes),
            algorithms=tuple(self.algorithms),
            extra=dict(self.extra),
            refresh=self.refresh,
            stale=self.stale,
            session=self.session,
            skew=self.skew,
            logs_out=self.logout != "local",
            sends_hint=isinstance(self.logout, LogoutSettings) and self.logout.hint,
            reports_auth_time=self.auth_time and self.type == "oidc",
        )

    def _accept(self) -> Accept:
        if not isinstance(self.accept, AcceptSettings):
            return Accept(everyone=self.accept == "everyone")
        accept = self.accept
        return Accept(
            domains=frozenset(accept.domains),
            groups=frozenset(accept.groups),
            tenant=accept.tenant or "",
        )

    def group_mapping(self, name: str) -> GroupMapping:
        """Return the local groups for the groups of the provider `name`."""
        groups = self.groups
        default = "" if groups.map else f"{name}:"
        prefix = default if groups.prefix is None else groups.prefix
        return GroupMapping(groups.claim, dict(groups.map), prefix)
