"""The `rules` section of the configuration: validation and compilation into `core.rules`."""

import re
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from authgw.config.scalars import as_list
from authgw.config.values import Network
from authgw.core import rules
from authgw.core.errors import TargetMalformedError
from authgw.core.networks import TrustedProxies
from authgw.core.paths import Ambiguity
from authgw.core.patterns import PathPattern
from authgw.core.rules import Allow, Credential, Rule, RuleError, Rules
from authgw.core.urls import canonical_host, canonical_method
from authgw.core.users import GROUP_CHARACTERS, GROUP_NAME

_KINDS = ("group", "user", "provider")
# Words for which no group or user is suggested.
_EVERYONE = frozenset({"all", "any", "everyone", "everybody", "public", "users", "*"})
_SUBJECTS = "anyone, authenticated, group:NAME, user:NAME or provider:NAME"
# A subject of a trusted backend; the grammar of its id is that of `identity.clients_file`.
_BACKEND_USER = re.compile(r"client/[A-Za-z0-9_-]{1,64}:.+", re.DOTALL)
_PROVIDER_NAME = re.compile(r"[a-z0-9-]+")
_PATH_LIST = re.compile(r",\s*=?/")


def _host(text: str) -> str:
    try:
        wildcard = "*." if text.startswith("*.") else ""
        canonical = wildcard + canonical_host(text.removeprefix("*."))
    except TargetMalformedError:
        raise ValueError(
            "is not a valid host: write app.example.com or *.example.com, without scheme, port and "
            "path"
        ) from None
    if canonical != text:
        raise ValueError(f"is not in canonical form: write {canonical}")
    return text


def _method(text: str) -> str:
    try:
        return canonical_method(text)
    except TargetMalformedError:
        raise ValueError(
            "is not a valid method: write capitals, such as GET; several as a list, [GET, POST]"
        ) from None


def _with_head(methods: tuple[str, ...]) -> frozenset[str]:
    # RFC 9110 section 9.3.2: HEAD is GET without the content, and servers offer both.
    return frozenset(methods) | (frozenset({"HEAD"}) if "GET" in methods else frozenset())


def _subject(text: str) -> str:
    kind, _, name = text.partition(":")
    if text not in ("anyone", "authenticated") and not (kind in _KINDS and name):
        raise ValueError(f"unknown subject: {_suggestion(text)}use {_SUBJECTS}")
    if kind == "group" and "," in name:
        raise ValueError("contains a comma: write a list, [group:a, group:b]")
    if kind == "group" and not GROUP_NAME.fullmatch(name):
        raise ValueError(f"is not a valid name of a group: {GROUP_CHARACTERS}")
    if kind == "provider" and not _PROVIDER_NAME.fullmatch(name):
        raise ValueError("is not a valid name of a provider: write lower-case letters, digits or -")
    return text


def _suggestion(text: str) -> str:
    """Return the probable meaning of `users:alice`, `groups:admins` or `admins`, or ""."""
    kind, colon, name = text.partition(":")
    singular = kind.strip().lower().removesuffix("s")
    name = name.strip()
    if name and singular in _KINDS:
        return f"did you mean {singular}:{name}? If not, "
    if not colon and kind not in _EVERYONE and GROUP_NAME.fullmatch(kind):
        return f"did you mean group:{kind} or user:{kind}? If not, "
    return ""


def _pattern(compile_pattern: Callable[[str], PathPattern]) -> Callable[[str], str]:
    def check(text: str) -> str:
        try:
            compile_pattern(text)
        except RuleError as error:
            raise ValueError(str(error)) from None
        return text

    return check


def _single_path(text: str) -> str:
    # A pattern that never matches would leave its paths to a later rule, which may allow anyone.
    if _PATH_LIST.search(text):
        raise ValueError("contains several paths in one text: write a list, [/a/**, /b/**]")
    return text


T = TypeVar("T")
# A single value is accepted as a list; an empty list would be a rule without effect.
NonEmpty = Annotated[tuple[T, ...], BeforeValidator(as_list), Field(min_length=1)]
Subject = Annotated[str, AfterValidator(_subject)]
Glob = Annotated[str, AfterValidator(_single_path), AfterValidator(_pattern(rules.glob))]
Regex = Annotated[str, AfterValidator(_pattern(rules.regex))]
Method = Annotated[str, AfterValidator(_method)]
RuleHost = Annotated[str, AfterValidator(_host)]
CredentialName = Literal["bearer", "cookie", "app-password"]


class RuleEntry(BaseModel):
    """A rule as it is written in the configuration."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    allow: Annotated[NonEmpty[Subject], Field(examples=[("group:admins", "user:alice")])]
    """Subjects that may pass; any of the list is sufficient.

    `anyone` needs no login, `authenticated` is any valid session, `group:NAME` and `user:NAME` name
    groups and users. `user:client/ID:NAME` is the subject NAME of the trusted backend ID, whose
    subjects `user:NAME` never matches. `provider:NAME` are all accounts of an identity provider
    that may log in and are not linked to a user.
    """
    host: Annotated[RuleHost | None, Field(examples=["*.example.com"])] = None
    """Host of the request; `*.example.com` means all hosts below it. Any host without it."""
    path: Annotated[NonEmpty[Glob] | None, Field(examples=[("/public/**", "=/health")])] = None
    """Path of the request. Any path without it.

    `*` is any text without `/`, `**` any text, `/a/**` includes `/a`, and `=` means exactly this
    path.
    """
    regex: Annotated[NonEmpty[Regex] | None, Field(examples=["/v[0-9]+/.*"])] = None
    """Pattern of RE2 for the whole path, in place of `path` or next to it."""
    method: Annotated[NonEmpty[Method] | None, Field(examples=[("GET", "POST")])] = None
    """Method of the request; GET includes HEAD. Any method without it."""
    networks: Annotated[NonEmpty[Network] | None, Field(examples=["10.0.0.0/8"])] = Field(
        None, alias="from"
    )
    """Address of the client: addresses, networks, or `unix`. Any address without it."""
    preflight: Annotated[Literal["allow"] | None, Field(examples=["allow"])] = None
    """Let CORS preflight requests (OPTIONS) pass without a login."""
    encoded: Annotated[
        tuple[Literal["slash", "percent", "semicolon", "double-slash", "backslash", "bytes"], ...],
        BeforeValidator(as_list),
        Field(examples=["slash"]),
    ] = ()
    """Ambiguous forms of a path that this rule admits, because the app needs them.

    Without it such a path is denied if a rule for the host has a `path` or `regex`. `slash` is
    `%2F`, `percent` `%25`, `semicolon` `;`, `double-slash` `//`, `backslash` `%5C`; `bytes` are not
    UTF-8.
    """
    credentials: Annotated[NonEmpty[CredentialName] | None, Field(examples=["app-password"])] = None
    """Accepted kinds of credentials; `bearer` and `cookie` without it."""
    require: Annotated[Literal["totp"] | None, Field(examples=["totp"])] = None
    """Require a second factor, even of a session that began without it."""
    foreign: Annotated[Literal["deny"] | None, Field(examples=["deny"])] = None
    """Deny requests whose Authorization header is for the app and not for authgw."""
    upstream_auth: Annotated[Literal["connection"] | None, Field(examples=["connection"])] = None
    """Let NTLM and Negotiate pass, which authenticate the connection to the app.

    Only for an app whose connections the proxy never shares between users.
    """

    @field_validator("*", mode="before")
    @classmethod
    def _is_not_empty(cls, value: Any) -> Any:
        # With a missing value, the rule would match every host, path or method.
        if value is None:
            raise ValueError("is empty: write its value, or remove the key")
        return value

    @model_validator(mode="after")
    def _check_second_factor(self) -> "RuleEntry":
        if self.require and "anyone" in self.allow:
            raise ValueError(
                "require: totp needs a login, and allow: anyone has none: write allow: "
                "authenticated"
            )
        return self

    @model_validator(mode="after")
    def _check_foreign(self) -> "RuleEntry":
        if self.foreign and "anyone" in self.allow:
            raise ValueError(
                "foreign: deny has no effect with allow: anyone: write allow: authenticated"
            )
        if self.foreign and self.upstream_auth:
            raise ValueError("foreign: deny and upstream_auth contradict each other: remove one")
        return self

    def compiled(self, number: int, origin: str) -> Rule:
        """Return the compiled rule; `origin` is its place, `number` its index from 0."""
        subjects = tuple(subject.partition(":") for subject in self.allow)
        users = {name for kind, _, name in subjects if kind == "user"}
        backend_users = {name for name in users if _BACKEND_USER.fullmatch(name)}
        return Rule(
            number=number,
            origin=origin,
            allow=Allow(
                anyone="anyone" in self.allow,
                authenticated="authenticated" in self.allow,
                groups=frozenset(name for kind, _, name in subjects if kind == "group"),
                users=frozenset(users - backend_users),
                backend_users=frozenset(backend_users),
                providers=frozenset(name for kind, _, name in subjects if kind == "provider"),
            ),
            host=self.host,
            paths=(*map(rules.glob, self.path or ()), *map(rules.regex, self.regex or ())),
            methods=_with_head(self.method) if self.method else None,
            networks=TrustedProxies.parse(self.networks) if self.networks else None,
            preflight=self.preflight is not None,
            encoded=frozenset(map(Ambiguity, self.encoded)),
            credentials=frozenset(map(Credential, self.credentials)) if self.credentials else None,
            totp=self.require is not None,
            denies_foreign=self.foreign is not None,
            connection_auth=self.upstream_auth is not None,
        )


def compile_rules(entries: Sequence[RuleEntry], origins: Sequence[str]) -> Rules:
    """Return the compiled rules in their order."""
    pairs = zip(entries, origins, strict=True)
    return Rules([entry.compiled(number, origin) for number, (entry, origin) in enumerate(pairs)])


def unknown_providers(
    entries: Sequence[RuleEntry], providers: Container[str]
) -> Iterator[tuple[int, str]]:
    """Yield the number of each rule that names a provider which is not configured, and a message.

    Such a rule would admit nobody, or the accounts of a provider of the same name later.
    """
    for number, entry in enumerate(entries):
        for subject in entry.allow:
            kind, _, name = subject.partition(":")
            if kind == "provider" and name not in providers:
                yield (
                    number,
                    f"login.providers has no provider {name}: add it there, or remove {subject}",
                )
