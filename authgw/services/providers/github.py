"""Logins with GitHub: OAuth 2.0 with PKCE and GitHub's API, as it has no ID tokens.

GitHub Enterprise Server is a provider whose issuer is the URL of its host; its API is below
`/api/v3`.
"""

from dataclasses import replace
from typing import Any

from authgw.core.errors import ProviderUnavailableError
from authgw.core.limits import MAX_GITHUB_PAGES
from authgw.core.providers.metadata import ProviderMetadata
from authgw.core.providers.model import GITHUB_ISSUER, Provider, ProviderClaims
from authgw.core.strict_json import read_object
from authgw.services.providers.calls import ProviderCalls, ProviderResponse
from authgw.services.providers.tokens import GrantRefusedError, ProviderTokens, token_error

_API_VERSION = {"X-GitHub-Api-Version": "2022-11-28"}
_PAGE_ENTRIES = 100
_GROUP_SCOPE = "read:org"
_Entry = dict[str, Any]


class GitHub:
    """GitHub's part of logins; a token is used for a login and then thrown away."""

    def __init__(self, provider: Provider, calls: ProviderCalls) -> None:
        self._provider = provider
        self._calls = calls
        issuer = provider.issuer
        self._api = "https://api.github.com" if issuer == GITHUB_ISSUER else f"{issuer}/api/v3"
        self.metadata = ProviderMetadata(
            issuer=issuer,
            authorization_endpoint=f"{issuer}/login/oauth/authorize",
            token_endpoint=f"{issuer}/login/oauth/access_token",
            jwks_uri="",
        )

    async def claims(self, code: str, *, redirect_uri: str, verifier: str) -> ProviderClaims:
        """Return the claims of the account that an authorization code is for.

        The account is GitHub's numeric id, as a login name can be taken over by another account.

        Raises:
            GrantRefusedError: GitHub does not accept the code or the verifier.
            ProviderUnavailableError: a call fails, or a response is not valid.
        """
        token = (await self._tokens(code, redirect_uri, verifier)).access_token
        user = _object(await self._get("/user", token))
        account, login = user.get("id"), user.get("login")
        if type(account) is not int or account <= 0 or not isinstance(login, str):
            raise _problem("/user has no valid `id` and `login`")
        address = _primary_address(await self._entries("/user/emails", token))
        groups = await self._groups(token)
        values = {
            "sub": str(account),
            "login": login,
            "preferred_username": login,
            "name": user.get("name") or login,
            **({"email": address, "email_verified": True} if address else {}),
            **({} if groups is None else {self._provider.groups.claim: list(groups)}),
        }
        return ProviderClaims(
            self._provider.issuer,
            str(account),
            values,
            groups,
            "userinfo" if groups is not None else "",
        )

    async def _tokens(self, code: str, redirect_uri: str, verifier: str) -> ProviderTokens:
        provider = self._provider
        fields = {
            "client_id": provider.client_id,
            "client_secret": provider.client_secret,
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        response = await self._calls.post_form(self.metadata.token_endpoint, fields)
        members = _object(response)
        token = members.get("access_token")
        if isinstance(token, str) and token.isascii() and token.isprintable():
            return ProviderTokens(token)
        # GitHub reports errors with status 200.
        if members.get("error") == "bad_verification_code":
            raise GrantRefusedError(note="GitHub refused the code: bad_verification_code")
        raise token_error(provider, replace(response, status=400), fields)

    async def _groups(self, token: str) -> tuple[str, ...] | None:
        """Return `org:NAME` and `team:ORG/SLUG` of all organizations and teams of the account.

        None without the scope that reads them.
        """
        if _GROUP_SCOPE not in self._provider.scopes:
            return None
        organizations = await self._entries("/user/orgs", token)
        teams = await self._entries("/user/teams", token)
        return (
            *(f"org:{_text(organization, 'login')}" for organization in organizations),
            *(
                f"team:{_text(_member(team, 'organization'), 'login')}/{_text(team, 'slug')}"
                for team in teams
            ),
        )

    async def _entries(self, path: str, token: str) -> list[_Entry]:
        """Return the entries of all pages of a list."""
        found: list[_Entry] = []
        for page in range(1, MAX_GITHUB_PAGES + 1):
            address = f"{path}?per_page={_PAGE_ENTRIES}&page={page}"
            entries = _list(await self._get(address, token), path)
            found += entries
            if len(entries) < _PAGE_ENTRIES:
                return found
        raise _problem(f"{path} has more than {MAX_GITHUB_PAGES * _PAGE_ENTRIES} entries")

    async def _get(self, path: str, token: str) -> ProviderResponse:
        url = f"{self._api}{path}"
        response = await self._calls.get_json(url, bearer=token, headers=_API_VERSION)
        if response.status != 200:
            raise _problem(f"{path.partition('?')[0]} responded with status {response.status}")
        return response


def _primary_address(entries: list[_Entry]) -> str:
    """Return the primary address if GitHub has verified it, else an empty text."""
    for entry in entries:
        if entry.get("primary") is True and entry.get("verified") is True:
            return _text(entry, "email")
    return ""


def _object(response: ProviderResponse) -> _Entry:
    try:
        return read_object(response.body)
    except ValueError:
        raise _problem("a response is not a JSON object without duplicate keys") from None


def _list(response: ProviderResponse, path: str) -> list[_Entry]:
    # The strict parser reads objects only.
    try:
        members = read_object(b'{"entries":' + response.body + b"}")
    except ValueError:
        members = {}
    entries = members.get("entries")
    if len(members) != 1 or not isinstance(entries, list):
        raise _problem(f"{path} is not a list in strict JSON")
    if not all(isinstance(entry, dict) for entry in entries):
        raise _problem(f"{path} is not a list of objects")
    return entries


def _member(entry: _Entry, name: str) -> _Entry:
    value = entry.get(name)
    return value if isinstance(value, dict) else {}


def _text(entry: _Entry, name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value:
        raise _problem(f"an entry has no `{name}`")
    return value


def _problem(what: str) -> ProviderUnavailableError:
    return ProviderUnavailableError(note=f"GitHub's API: {what}")
