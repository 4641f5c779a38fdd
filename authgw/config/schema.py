"""The configuration schema: frozen, validated sections with their defaults."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from authgw.config.login_schema import LoginSettings
from authgw.config.rules import RuleEntry
from authgw.config.section import CONFLICT, Conflict, Section
from authgw.config.values import (
    Boolean,
    Duration,
    HeaderName,
    Integer,
    ListeningHost,
    LogPlace,
    Networks,
    Port,
    PositiveDuration,
    SocketPath,
    Staleness,
    StoreHost,
    StoreUrl,
    Text,
)
from authgw.core.model import IdentityHeaders
from authgw.core.sessions import Lifetimes
from authgw.storage.registry import kind_of


class ServerSettings(Section):
    """Listening addresses, and the proxies whose forwarded headers are trusted."""

    host: Annotated[ListeningHost, Field(examples=["10.0.0.7"])] = "127.0.0.1"
    """Address to listen on; `0.0.0.0` or `::` for every address of the machine."""
    port: Annotated[Port, Field(examples=[9000])] = 8080
    """TCP port for proxies, trusted backends and health checks."""
    socket: Annotated[SocketPath | None, Field(examples=["/run/authgw/authgw.sock"])] = None
    """Path of a unix socket that is opened in addition to the port.

    Its directory decides who may connect. Add `unix` to `server.trusted_proxies` for the proxy.
    """
    trusted_proxies: Annotated[Networks, Field(examples=[("127.0.0.1", "10.0.0.0/24")])] = (
        "127.0.0.0/8",
        "::1/128",
    )
    """Addresses and networks of the proxies; `unix` means the socket.

    Only these may describe the request of a client, such as its address and its host.
    """
    drain: Annotated[Duration, Field(examples=["10s"])] = 20.0
    """Maximum time from SIGTERM to the end of the process, for requests that are in progress."""
    docs: Annotated[Boolean, Field(examples=[True])] = False
    """Serve the description of the HTTP API as a page at `/docs`."""


class LoggingSettings(Section):
    """Format and level of the log, and the decisions that it contains."""

    mode: Annotated[Literal["text", "json"], Field(examples=["json"])] = "text"
    """Format of the log: lines of text, or a JSON object for each line."""
    level: Annotated[Literal["debug", "info", "warning", "error"], Field(examples=["warning"])] = (
        "info"
    )
    """Lowest level of the lines that are logged."""
    decisions: Annotated[Literal["denied", "all"], Field(examples=["all"])] = "denied"
    """Log the checks that were denied, or all of them."""
    commands: Annotated[LogPlace, Field(examples=["syslog"])] = "stderr"
    """Place of the log lines of commands that change something: `stderr`, `syslog`, or a file."""


class CacheSettings(Section):
    """The session store: `url`, or the `host` and `port` of a Redis server."""

    url: Annotated[StoreUrl | None, Field(examples=["redis://redis:6379/0"])] = None
    """URL of the session store; `embedded:///var/authgw.db` if neither `url` nor `host` is set.

    `embedded:///PATH`, relative to the configuration file, and `embedded://memory` serve a single
    replica. Replicas that share sessions need Redis: `redis://HOST:PORT/DB`,
    `redis+sentinel://HOST:PORT,HOST:PORT/MASTER` or `redis+cluster://HOST:PORT,HOST:PORT`, with
    `rediss` in place of `redis` for TLS.
    """
    host: Annotated[StoreHost | None, Field(examples=["redis"])] = None
    """Host of a Redis server, in place of `cache.url`."""
    port: Annotated[Port, Field(examples=[6380])] = 6379
    """Port of the server in `cache.host`."""
    password_file: Annotated[Text | None, Field(examples=["secrets/redis_password"])] = None
    """File with the password of Redis."""
    ca_file: Annotated[Text | None, Field(examples=["secrets/redis-ca.pem"])] = None
    """File with the certificate authorities (PEM) for Redis with TLS.

    Without it those of the system are trusted.
    """
    max_staleness: Annotated[Staleness, Field(examples=["500ms"])] = 1.0
    """Maximum age of the session state that a decision is based on.

    A logout whose notification was lost takes effect within this time. 0 reads the session from the
    store for every request; other values are at least 100ms.
    """

    @property
    def address(self) -> str:
        """The URL of the store, without the password of `password_file`."""
        if self.url is not None:
            return self.url.get_secret_value()
        return f"redis://{self.host}:{self.port}/0" if self.host else "embedded:///var/authgw.db"

    @property
    def is_shared(self) -> bool:
        """True if several replicas can use this store."""
        return kind_of(self.address).is_shared

    def conflicts(self) -> Iterator[Conflict]:
        """Yield keys for another store than that of `address`, and two keys for the same value."""
        written = self.model_fields_set
        if "url" in written and written & {"host", "port"}:
            yield Conflict(
                ("url",),
                "is set together with cache.host or cache.port: keep the URL, or host and port",
            )
        if "port" in written and not written & {"host", "url"}:
            yield Conflict(("port",), "has no effect without cache.host: set cache.host too")
        store, key = ("url", "host"), ("password_file",)
        if "password_file" in written and not self.is_shared:
            yield Conflict(
                key,
                "is for a Redis store: set cache.url or cache.host to a Redis, or remove it",
                store,
            )
        if (
            "password_file" in written
            and ":" in self.address.partition("://")[2].rpartition("@")[0]
        ):
            yield Conflict(
                key, "is set together with a password in cache.url: keep one of them", store
            )
        if "ca_file" in written and not self.address.startswith("rediss"):
            yield Conflict(
                ("ca_file",), "is for TLS: write rediss:// in cache.url, or remove it", store
            )


class PasswordSettings(Section):
    """Policy for new passwords, and the renewal of old hashes."""

    min_length: Annotated[Integer, Field(ge=1, le=128, examples=[12])] = 8
    """Minimum number of characters of a new password, from 1 to 128."""
    rehash: Annotated[Boolean, Field(examples=[False])] = True
    """Renew a password hash with old parameters in the users file at the next login.

    With false only commands and the use of a recovery code change the file.
    """


class AuthSettings(Section):
    """Tokens and sessions."""

    issuer: Annotated[Text, Field(examples=["https://auth.example.com"])] = "authgw"
    """Claim `iss` of the tokens: a name that differs between installations."""
    previous_issuers: Annotated[tuple[Text, ...], Field(examples=[("authgw",)])] = ()
    """Earlier values of `auth.issuer`; their tokens stay valid until they expire."""
    audience: Annotated[Text | None, Field(examples=["apps"])] = None
    """Claim `aud` of the tokens; the value of `auth.issuer` if it is not set."""
    algorithm: Annotated[Literal["ES256", "RS256", "EdDSA", "HS256"], Field(examples=["EdDSA"])] = (
        "ES256"
    )
    """Algorithm of the signatures.

    HS256 uses the secret of `auth.secret_file` in place of key pairs and has no public keys.
    """
    keys: Annotated[Text, Field(examples=["/etc/authgw/keys"])] = "secrets/keys"
    """Directory with the signing keys, made by `authgw key init`.

    Replicas that share a store must have the same keys.
    """
    secret_file: Annotated[Text, Field(examples=["/run/secrets/jwt_key"])] = "secrets/jwt_key"  # noqa: S105  a path
    """File with the secret for HS256."""
    clients: Annotated[Text, Field(examples=["/etc/authgw/clients.yml"])] = "clients.yml"
    """File of the trusted backends, edited by `authgw client`."""
    users: Annotated[Text, Field(examples=["/etc/authgw/users.yml"])] = "users.yml"
    """File of the users, edited by `authgw user`."""
    bindings: Annotated[Text, Field(examples=["/etc/authgw/bindings.yml"])] = "bindings.yml"
    """File of the names that belong to accounts of identity providers, and of blocked accounts.

    `authgw user` edits it, and so do first logins if a provider has `bind: first`. Replicas must
    share it.
    """
    access_lifetime: Annotated[PositiveDuration, Field(examples=["5m"])] = 900.0
    """Lifetime of an access token; at most `auth.refresh_lifetime`."""
    refresh_lifetime: Annotated[PositiveDuration, Field(examples=["168h"])] = 720 * 3600.0
    """Lifetime of a refresh token; at most `auth.session_max`.

    Each refresh begins it anew, until `auth.session_max` after the login.
    """
    session_max: Annotated[PositiveDuration, Field(examples=["720h"])] = 2160 * 3600.0
    """Maximum lifetime of a session after its login, however often it is used."""
    auto_logout: Annotated[PositiveDuration, Field(examples=["8h"])] = 24 * 3600.0
    """A session that is not used for this time ends."""
    refresh_grace: Annotated[Duration, Field(examples=["30s"])] = 10.0
    """Time after a refresh in which the previous refresh token returns the same successor.

    It covers lost responses and simultaneous refreshes; later use of the token ends the session.
    """
    max_sessions: Annotated[Integer, Field(ge=1, le=10000, examples=[10])] = 100
    """Maximum number of sessions of a subject, from 1 to 10,000.

    A login above it ends the oldest session; with 1 the newest login wins.
    """
    open_login: Annotated[Boolean, Field(examples=[True])] = False
    """Open sessions for a bare `user_id` at `/login`, without a client secret.

    Only for networks that nobody else can reach.
    """
    direct_check: Annotated[Boolean, Field(examples=[True])] = False
    """Let programs check their own token at `/authenticate` although there are rules.

    Without rules this is always possible.
    """
    passwords: PasswordSettings = PasswordSettings()
    """Policy for new passwords."""

    @property
    def lifetimes(self) -> Lifetimes:
        """The lifetimes of tokens and sessions."""
        return Lifetimes(
            access=self.access_lifetime,
            refresh=self.refresh_lifetime,
            session_max=self.session_max,
            refresh_grace=self.refresh_grace,
        )

    @property
    def max_token_lifetime(self) -> float:
        """The lifetime in seconds after which no token of any kind is valid."""
        return max(self.access_lifetime, self.refresh_lifetime)

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a secret file of another algorithm, and lifetimes that another cuts off."""
        written = self.model_fields_set
        if "secret_file" in written and self.algorithm != "HS256":
            message = "is for HS256: set auth.algorithm: HS256, or remove it"
            yield Conflict(("secret_file",), message, ("algorithm",))
        for pair in pairwise(("access_lifetime", "refresh_lifetime", "session_max")):
            shorter, longer = pair
            # A default that is too long is not an error: the lifetime of the session limits it.
            if shorter in written and getattr(self, shorter) > getattr(self, longer):
                yield Conflict(
                    (shorter,),
                    f"is longer than auth.{longer}: shorten it, or lengthen auth.{longer}",
                    pair,
                )


class MetricsSettings(Section):
    """Listening address for Prometheus, separate from the port for proxies."""

    host: Annotated[ListeningHost, Field(examples=["10.0.0.7"])] = "127.0.0.1"
    """Address to serve `/metrics` on."""
    port: Annotated[Port, Field(examples=[9091])] = 9090
    """TCP port of `/metrics`; each replica on a machine needs its own."""


class HeaderSettings(Section):
    """Names of the identity headers that upstreams receive."""

    user: Annotated[HeaderName, Field(examples=["Auth-User"])] = "Remote-User"
    """Header with the subject: the name of the user."""
    groups: Annotated[HeaderName, Field(examples=["Auth-Groups"])] = "Remote-Groups"
    """Header with the groups of the user, separated by commas."""
    email: Annotated[HeaderName, Field(examples=["Auth-Email"])] = "Remote-Email"
    """Header with the e-mail address of the user."""
    name: Annotated[HeaderName, Field(examples=["Auth-Name"])] = "Remote-Name"
    """Header with the full name of the user."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield two headers of the same name."""
        names = self.model_dump()
        if len({name.lower() for name in names.values()}) < len(names):
            yield Conflict((), "two headers have the same name: give each a name of its own", names)

    @property
    def identity(self) -> IdentityHeaders:
        """The names by claim: each key is the name of a claim."""
        return IdentityHeaders(dict(self))


class Settings(Section):
    """The whole configuration; `rules` is None if the section is absent."""

    server: ServerSettings = ServerSettings()
    logging: LoggingSettings = LoggingSettings()
    cache: CacheSettings = CacheSettings()
    auth: AuthSettings = AuthSettings()
    login: LoginSettings = LoginSettings()
    headers: HeaderSettings = HeaderSettings()
    metrics: MetricsSettings = MetricsSettings()
    rules: Annotated[tuple[RuleEntry, ...], Field(json_schema_extra={"minItems": 1})] | None = None
    """Access rules, in their order: the first rule that matches a request decides.

    A request that no rule matches is denied. Without the section any valid session may open every
    host.
    """

    @field_validator("rules", mode="before")
    @classmethod
    def _has_rules(cls, value: Any) -> Any:
        if not value:
            message = (
                "is empty, so that every request would be denied: write rules, or remove the key"
            )
            raise PydanticCustomError(CONFLICT, message)
        return value

    def conflicts(self) -> Iterator[Conflict]:
        """Yield self-service on a host whose app could use the pages in a user's name."""
        hosts = {rule.host for rule in self.rules or ()}
        for site in self.login.sites.all if self.login.self_service else ():
            if site.host in hosts or site.root or not site.is_ours:
                message = (
                    f"needs a login page on a host of its own, but an app is at {site.host}, too, "
                    "whose scripts could use the account page: give login.url another host, or "
                    "remove login.self_service"
                )
                yield Conflict(("login", "self_service"), message, ("login", "rules"))
