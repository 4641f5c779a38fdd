"""Log in at an identity provider: the redirect to it, and its response.

No state is kept between the two: a signed ticket in a cookie of the browser has all of it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from authgw.core.audit import account_fields
from authgw.core.budget import AddressBudget
from authgw.core.counters import Counters
from authgw.core.errors import (
    AuthgwError,
    FlowInvalidError,
    ProviderRefusedError,
    ProviderUnavailableError,
    TokenExpiredError,
    TooManyFailuresError,
)
from authgw.core.limits import MAX_HELPER_COOKIES
from authgw.core.login_sites import LoginSite
from authgw.core.measurements import Measurement, labelled_counter
from authgw.core.providers.admission import AccountDirectory, admit
from authgw.core.providers.flow import (
    FLOW_LIFETIME,
    CallbackCode,
    CallbackError,
    FlowPurpose,
    FlowSecrets,
    FlowTicket,
    authorization_url,
    cookie_suffix,
    read_callback,
    supported_prompt,
)
from authgw.core.providers.model import Admitted, Provider, ProviderClaims
from authgw.core.sessions import Session
from authgw.core.tokens import LEEWAY, Issuer, TicketClaims, Token, TokenType
from authgw.core.users import User
from authgw.services.providers.connected import AccountAtLogin, ConnectedProvider
from authgw.services.providers.results import (
    FinishedLink,
    FinishedLogin,
    RefusedLogin,
    StartedFlow,
)
from authgw.services.providers.secrets import ProviderSecret
from authgw.services.results import LoginRequest
from authgw.services.sessions import jti

# Errors of RFC 6749 section 4.1.2.1 and OpenID Connect Core section 3.1.2.6 that the user causes.
_OF_THE_USER = frozenset(
    {
        "access_denied",
        "login_required",
        "consent_required",
        "interaction_required",
        "account_selection_required",
    }
)


class NameBindings(Protocol):
    """Binds names to accounts, for all replicas that share the file of the bindings."""

    async def bind(self, name: str, issuer: str, account: str) -> None:
        """Bind a name that is free.

        Raises:
            ProviderRefusedError: the name, or a similar name, was bound to another account first.
            ProviderUnavailableError: the binding cannot be stored.
        """


class LoginCounts(Counter[tuple[str, ...]]):
    """The number of logins by provider and outcome; a reload leaves them in place."""

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        yield labelled_counter(
            "authgw_provider_logins",
            "Logins at identity providers by outcome: ok; refused, for an account that may not log "
            "in; invalid, for a response that belongs to no login; failed, if the provider does "
            "not respond as it should",
            ("provider", "outcome"),
            dict(self),
        )


class ProviderLogins:
    """Logins at these providers, by name.

    `requires_code` returns True for a user who must add a second factor. `budget` limits callbacks
    of an address; `clock` returns Unix seconds.
    """

    def __init__(
        self,
        connected: Mapping[str, ConnectedProvider],
        issuer: Issuer,
        users: AccountDirectory,
        counters: Counters,
        bindings: NameBindings,
        *,
        budget: AddressBudget,
        requires_code: Callable[[User], bool],
        clock: Callable[[], float],
        counts: LoginCounts | None = None,
    ) -> None:
        self._connected = connected
        self._issuer = issuer
        self._users = users
        self._counters = counters
        self._bindings = bindings
        self._budget = budget
        self._requires_code = requires_code
        self._clock = clock
        self._counts = LoginCounts() if counts is None else counts

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The providers by name, in the order of the configuration."""
        return {name: connected.provider for name, connected in self._connected.items()}

    async def start(
        self,
        name: str,
        site: LoginSite,
        *,
        rd: str = "",
        cut: bool = False,
        purpose: FlowPurpose = "login",
        asking: Session | None = None,
        prompt: str = "",
    ) -> StartedFlow:
        """Begin a login at the provider `name`; nothing is written to the store.

        Args:
            name: A name of `providers`.
            site: The login site that the provider leads back to.
            rd: The return target, which the caller has checked.
            cut: The return target is the front page of its host, as the link was too long.
            purpose: The purpose; a response cannot be used for another.
            asking: The session that asks, for a link or a recheck.
            prompt: The page that the provider has to show, such as `select_account`.

        Raises:
            ProviderUnavailableError: the provider's metadata are not available.
        """
        connected = self._connected[name]
        metadata = await connected.metadata()
        prompt = supported_prompt(prompt, metadata.prompts_supported)
        sid, account = (asking.sid, asking.account) if asking else ("", "")
        flow = FlowTicket(purpose, site.url, rd, cut, sid, account, prompted=bool(prompt))
        ticket = TicketClaims(jti(), FLOW_LIFETIME, flow.encode())
        text = self._issuer.mint_ticket(name, TokenType.FLOW, ticket, now=self._clock())
        secrets = FlowSecrets.of(self._issuer.secret_of(text))
        url = authorization_url(
            metadata.authorization_endpoint,
            connected.provider,
            redirect_uri(site, name),
            secrets,
            scopes_supported=metadata.scopes_supported,
            prompt=prompt,
        )
        return StartedFlow(url, text, cookie_suffix(secrets.state))

    async def finish(
        self,
        name: str,
        site: LoginSite,
        pairs: Sequence[tuple[str, str]],
        tickets: Sequence[str],
        *,
        address: str,
    ) -> FinishedLogin | FinishedLink | RefusedLogin:
        """Return the account of a response of the provider, or the reason of a refusal.

        Args:
            name: A name of `providers`, as in the path of the callback.
            site: The login site that received the response.
            pairs: Names and values of the query, decoded.
            tickets: Values of the browser's cookies of this flow.
            address: The address of the client.

        Raises:
            StoreUnavailableError: the response may have been used before.
        """
        flow: FlowTicket | None = None
        account_id = ""
        try:
            # The issuer is compared when the response belongs to a flow: strangers must not make
            # this gateway fetch the metadata.
            response = read_callback(pairs, issuer=None, iss_promised=False)
            token, flow, secrets, has_expired = self._flow(name, response.state, tickets)
            if has_expired:
                raise FlowInvalidError(cause="flow_expired")
            if flow.site != site.url:
                raise FlowInvalidError(cause="flow_site")
            await self._spend(token, address)
            connected = self._connected[name]
            code = await self._code(connected, flow, pairs)
            account = await connected.account_of_code(
                code.code, secrets, redirect_uri=redirect_uri(site, name)
            )
            account_id = account.claims.account
            finished = await self._finished(connected.provider, flow, account)
            self._budget.give_back(address)
        except AuthgwError as error:
            if error.status == 503 and not isinstance(error, ProviderUnavailableError):
                raise
            self._counts[name, _outcome(error)] += 1
            error.log_fields = account_fields(name, account_id)
            return RefusedLogin(error, flow)
        self._counts[name, "ok"] += 1
        return finished

    def _flow(
        self, name: str, state: str, tickets: Sequence[str]
    ) -> tuple[Token, FlowTicket, FlowSecrets, bool]:
        """Return the ticket of the flow with this state, and True if it has expired.

        Raises:
            FlowInvalidError: the browser has no ticket of this flow.
        """
        for text in tickets[:MAX_HELPER_COOKIES]:
            try:
                token, has_expired = self._ticket(text)
                secrets = FlowSecrets.of(self._issuer.secret_of(text))
            except AuthgwError:
                # As without this cookie.
                continue
            if secrets.has_state(state):
                if token.sub != name:
                    raise FlowInvalidError(cause="flow_site")
                return token, FlowTicket.decode(token.mark), secrets, has_expired
        raise FlowInvalidError(cause="flow_cookie")

    def _ticket(self, text: str) -> tuple[Token, bool]:
        now = self._clock()
        try:
            return self._issuer.verify(text, TokenType.FLOW, now=now), False
        except TokenExpiredError:
            verified = self._issuer.verify(text, TokenType.FLOW, now=now, allow_expired=True)
            return verified, True

    async def _spend(self, token: Token, address: str) -> None:
        """Use up a flow: a response is accepted once.

        Raises:
            TooManyFailuresError: too many responses came from this address.
            FlowInvalidError: the response was used before.
        """
        if not self._budget.admit(address):
            raise TooManyFailuresError(self._budget.retry_after(address), cause="throttled_address")
        if not await self._counters.claim(f"flow:{token.jti}", FLOW_LIFETIME + LEEWAY):
            raise FlowInvalidError(cause="flow_spent")

    async def _code(
        self, connected: ConnectedProvider, flow: FlowTicket, pairs: Sequence[tuple[str, str]]
    ) -> CallbackCode:
        """Return the code of a response of this issuer (RFC 9207).

        Raises:
            FlowInvalidError: another issuer sent the response, or the provider does not know the
                prompt of the flow (`flow_prompt`): the login can begin again without it.
            ProviderRefusedError, ProviderUnavailableError: the provider sent an error.
        """
        provider, metadata = connected.provider, await connected.metadata()
        issuer = provider.issuer if provider.kind == "oidc" else None
        response = read_callback(pairs, issuer=issuer, iss_promised=metadata.sends_issuer)
        if isinstance(response, CallbackError):
            is_login = flow.purpose != "link"
            if flow.prompted and is_login and response.error == "invalid_request":
                raise FlowInvalidError(cause="flow_prompt")
            raise _error_of(provider, response.error)
        return response

    async def _finished(
        self, provider: Provider, flow: FlowTicket, found: AccountAtLogin
    ) -> FinishedLogin | FinishedLink:
        claims = found.claims
        if flow.purpose == "link":
            self._check_free(claims)
            return FinishedLink(provider, flow, claims)
        if flow.purpose == "recheck" and claims.account != flow.account:
            raise FlowInvalidError(cause="flow_account")
        if provider.refresh is not None and not found.tokens.refresh_token:
            raise ProviderUnavailableError(
                cause="provider_refresh",
                note=f"login.providers.{provider.name}.refresh: the provider sent no refresh "
                "token: permit offline access for this client, or remove the key",
            )
        admitted = admit(provider, claims, self._users)
        if admitted.binds:
            await self._bindings.bind(admitted.sub, claims.issuer, claims.account)
        entry = self._users.find(admitted.sub)
        return FinishedLogin(
            provider,
            flow,
            claims,
            admitted,
            _login_request(provider, claims, admitted, self._clock()),
            _secret(provider, found),
            entry is not None and not admitted.has_factor and self._requires_code(entry),
        )

    def _check_free(self, claims: ProviderClaims) -> None:
        """Check that an account can be linked.

        Raises:
            ProviderRefusedError: it is linked, or a name is bound to it.
        """
        linked = self._users.linked(claims.issuer, claims.account)
        bound = self._users.bound_name(claims.issuer, claims.account)
        if linked is not None or bound is not None:
            raise ProviderRefusedError(cause="account_taken")


def redirect_uri(site: LoginSite, name: str) -> str:
    """Return the address of the callback of a provider, which is registered there."""
    return f"{site.origin}{site.base}/oidc/{name}/callback"


def _error_of(provider: Provider, error: str) -> ProviderRefusedError | ProviderUnavailableError:
    note = f"the provider responded with {error}"
    if error in _OF_THE_USER:
        return ProviderRefusedError(cause="provider_error", note=note)
    key = f"login.providers.{provider.name}"
    remedies = {
        "invalid_scope": f"correct {key}.scopes, or permit them to the client at the provider",
        "server_error": "its own log has the reason",
        "temporarily_unavailable": "retry later",
    }
    remedy = remedies.get(error, f"check the client {key}.client_id at the provider")
    return ProviderUnavailableError(cause="provider_error", note=f"{note}: {remedy}")


def _outcome(error: AuthgwError) -> str:
    if isinstance(error, ProviderUnavailableError):
        return "failed"
    return "refused" if isinstance(error, ProviderRefusedError) else "invalid"


def _login_request(
    provider: Provider, claims: ProviderClaims, admitted: Admitted, now: float
) -> LoginRequest:
    proved_at = now if claims.auth_time is None else min(claims.auth_time, now)
    return LoginRequest(
        sub=admitted.sub,
        source=admitted.source,
        groups=admitted.groups,
        email=admitted.email,
        name=admitted.name,
        amr=claims.amr,
        password_mark=admitted.mark,
        auth_time=proved_at,
        factor_time=proved_at if admitted.has_factor else 0.0,
        issuer=claims.issuer,
        account=claims.account,
        idp_sid=claims.idp_sid,
        checked_at=now,
        groups_from=claims.groups_from,
        ends_at=None if provider.refresh is not None else now + provider.session,
    )


def _secret(provider: Provider, found: AccountAtLogin) -> ProviderSecret:
    """Return the tokens that the session needs; all others are thrown away."""
    return ProviderSecret(
        found.tokens.refresh_token if provider.refresh is not None else "",
        found.tokens.id_token if provider.sends_hint else "",
    )
