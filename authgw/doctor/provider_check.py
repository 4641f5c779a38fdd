"""Checks of an identity provider without a browser, by the calls that a login makes.

The result of each problem names the key to change.
"""

import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from authgw.core.errors import ProviderUnavailableError
from authgw.core.login_sites import LoginSite
from authgw.core.providers.jwks import ProviderKeys, parse_jwks
from authgw.core.providers.metadata import ProviderMetadata, parse_metadata
from authgw.core.providers.model import Provider
from authgw.core.strict_json import read_object
from authgw.doctor.findings import CheckResult, ok, problem, warning
from authgw.services.providers.calls import ProviderCalls, ProviderResponse
from authgw.services.providers.github import GitHub
from authgw.services.providers.login import redirect_uri
from authgw.services.providers.tokens import GrantRefusedError, TokenCalls

_DISCOVERY = "/.well-known/openid-configuration"
# Smaller differences of the clocks (seconds) are usual.
_MIN_CLOCK_WARNING = 5.0


@dataclass(frozen=True, slots=True)
class ProviderCheck:
    """The check of a provider for these login sites; `clock` returns Unix seconds."""

    provider: Provider
    sites: Sequence[LoginSite]
    calls: ProviderCalls
    clock: Callable[[], float]

    async def results(self) -> list[CheckResult]:
        """Return the results of all parts; without metadata of those that need none."""
        if self.provider.kind == "github":
            return [await self._client_of_github(), *self._addresses()]
        metadata, results = await self._documents()
        if metadata is not None:
            results += self._features(metadata)
            results.append(await self._client(metadata))
        return [*results, *self._addresses()]

    async def documents(self) -> list[CheckResult]:
        """Return the results of the provider's documents and clock; of GitHub there are none."""
        if self.provider.kind == "github":
            return []
        _, results = await self._documents()
        return results

    async def _documents(self) -> tuple[ProviderMetadata | None, list[CheckResult]]:
        # OpenID Connect Discovery section 4.1: a slash at the end of the issuer is removed.
        url = f"{self.provider.issuer.removesuffix('/')}{_DISCOVERY}"
        started = self.clock()
        try:
            response = await self._fetched(url)
            metadata = parse_metadata(response.body, self.provider.issuer)
        except ProviderUnavailableError as error:
            return None, [problem("discovery", f"{error.note} ({self._key('issuer')})")]
        return metadata, [
            ok("discovery", f"{url}, with the issuer of the configuration"),
            *self._clock(response.date, (started + self.clock()) / 2),
            _pkce(response.body),
            await self._keys(metadata),
        ]

    async def _fetched(self, url: str) -> ProviderResponse:
        response = await self.calls.get_json(url)
        if response.status != 200:
            note = f"{url} responded with status {response.status}: check the address"
            raise ProviderUnavailableError(note=note)
        return response

    async def _keys(self, metadata: ProviderMetadata) -> CheckResult:
        try:
            keys = parse_jwks((await self._fetched(metadata.jwks_uri)).body)
        except ProviderUnavailableError as error:
            return problem("keys", f"{error.note} ({self._key('issuer')})")
        usable = _usable(keys, self.provider.algorithms)
        announced = metadata.id_token_algorithms
        if usable and (not announced or not set(announced).isdisjoint(usable)):
            return ok("keys", f"{_count(len(keys.keys), 'key')} for {', '.join(usable)}")
        signs = f", which signs by {', '.join(announced)}" if announced else ""
        message = (
            f"the provider{signs} has no key for an algorithm of {self._key('algorithms')}: "
            "correct the key, or choose another algorithm for this client at the provider"
        )
        return problem("keys", message)

    def _clock(self, date: str, now: float) -> Iterator[CheckResult]:
        sent = _seconds(date)
        if sent is None:
            return
        # The header counts whole seconds (RFC 9110 section 5.6.7).
        ahead = now - (sent + 0.5)
        direction = "ahead of" if ahead > 0 else "behind"
        message = f"the clock of this machine is {abs(ahead):.0f} s {direction} the provider's"
        if abs(ahead) > self.provider.skew:
            limit = f"more than {self._key('skew')} ({self.provider.skew:.0f} s)"
            remedy = "so that its tokens are refused: synchronise both clocks by NTP"
            yield problem("clock", f"{message}, {limit}, {remedy}")
        elif abs(ahead) > _MIN_CLOCK_WARNING:
            yield warning("clock", f"{message}: synchronise both clocks by NTP")
        else:
            yield ok("clock", "agrees with the provider's")

    def _features(self, metadata: ProviderMetadata) -> Iterator[CheckResult]:
        if self.provider.logs_out and not metadata.end_session_endpoint:
            message = f"the provider has no page for it: set {self._key('logout')}: local"
            yield problem("logout at the provider", message)
        if metadata.supports_backchannel_logout and self.sites:
            site = self.sites[0]
            address = f"{site.origin}{site.base}/oidc/{self.provider.name}/backchannel"
            yield ok("back-channel logout", f"register {address}")
        else:
            message = f"not offered by the provider; {self._end_of_sessions()}"
            yield ok("back-channel logout", message)

    def _end_of_sessions(self) -> str:
        if self.provider.refresh is None:
            return f"sessions end after {self._key('session')}"
        return f"sessions are checked by {self._key('refresh')}"

    async def _client(self, metadata: ProviderMetadata) -> CheckResult:
        tokens = TokenCalls(self.provider, self.calls, clock=self.clock)
        return await self._verified(
            tokens.by_code(
                metadata,
                _invented_code(),
                redirect_uri=self._redirect_uri(self.sites[0]),
                verifier=secrets.token_urlsafe(32),
            )
        )

    async def _client_of_github(self) -> CheckResult:
        return await self._verified(
            GitHub(self.provider, self.calls).claims(
                _invented_code(),
                redirect_uri=self._redirect_uri(self.sites[0]),
                verifier=secrets.token_urlsafe(32),
            )
        )

    async def _verified(self, request: Awaitable[object]) -> CheckResult:
        """Return the result of a token request with a code that no provider has issued.

        A provider verifies the client before the code (RFC 6749 section 4.1.3).
        """
        try:
            await request
        except GrantRefusedError:
            credential = "secret" if self.provider.client_key is None else "key"
            return ok("client", f"client_id and its {credential} are accepted")
        except ProviderUnavailableError as error:
            return problem("client", error.note)
        return warning("client", "not verified: the provider accepts a code that it never issued")

    def _addresses(self) -> Iterator[CheckResult]:
        for site in self.sites:
            yield ok("redirect address", f"register {self._redirect_uri(site)}")
        if self.provider.logs_out:
            for site in self.sites:
                yield ok("address after a logout", f"register {site.origin}{site.base}")

    def _redirect_uri(self, site: LoginSite) -> str:
        return redirect_uri(site, self.provider.name)

    def _key(self, name: str) -> str:
        return f"login.providers.{self.provider.name}.{name}"


def _pkce(body: bytes) -> CheckResult:
    # `parse_metadata` refuses a document that lists other methods only.
    if "code_challenge_methods_supported" in read_object(body):
        return ok("PKCE", "S256")
    return ok("PKCE", "S256, which the provider neither lists nor excludes")


def _usable(keys: ProviderKeys, algorithms: Sequence[str]) -> list[str]:
    found = {algorithm for key in keys.keys for algorithm in key.algorithms}
    return [algorithm for algorithm in algorithms if algorithm in found]


def _invented_code() -> str:
    return f"authgw-provider-check-{secrets.token_hex(8)}"


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
