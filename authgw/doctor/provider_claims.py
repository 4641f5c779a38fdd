"""The local identity that an account with given claims would have, without a login."""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from authgw.config.loader import LoadedConfig
from authgw.config.providers import ProviderSettings
from authgw.core.errors import OperatorError, ProviderRefusedError
from authgw.core.limits import MAX_PROVIDER_RESPONSE_BYTES
from authgw.core.providers.admission import AccountDirectory, admit
from authgw.core.providers.claims import claims_of_id_token
from authgw.core.providers.foreign_tokens import is_plain_text
from authgw.core.providers.id_token import ProviderIdToken
from authgw.core.providers.model import Admitted, Provider, ProviderClaims
from authgw.core.strict_json import read_object
from authgw.core.users import GROUP_CHARACTERS, USERS
from authgw.doctor.findings import CheckResult, ok, problem, warning
from authgw.identity.users_watcher import WatchedUsersFile

_LINK = "or link it (`authgw user link USER {name} SUB`)"
# The remedies of refusals whose meaning does not name it.
_REMEDIES = {
    "account_blocked": ": `authgw user unblock` admits it again",
    "account_not_accepted": ": extend {key}.accept, " + _LINK,
    "name_missing": ": correct {key}.subject, or add the claim at the provider",
    "name_reserved": ": set {key}.names: prefixed, or correct {key}.subject",
    "name_bound": ": release it (`authgw user binding release {sub}`) if that account is gone",
    "name_unbound": ": bind the name to the account, set {key}.bind: first, " + _LINK,
    "email_unverified": ": verify it at the provider, set {key}.email: trusted, or correct "
    "{key}.subject",
    "groups_malformed": ": correct {key}.groups.claim, or the claim at the provider",
    "groups_overage": ": send only the groups that are assigned to this client",
    "groups_size": ": send fewer groups, or list those that count in {key}.groups.map",
}


class ProviderUnknownError(OperatorError):
    """Raised for the name of a provider that the configuration does not have."""


class ClaimsFileError(OperatorError):
    """Raised for a file of claims that cannot be used."""


def settings_of(loaded: LoadedConfig, name: str) -> ProviderSettings:
    """Return the settings of a provider.

    Raises:
        ProviderUnknownError: the configuration has no such provider.
    """
    configured = loaded.settings.login.providers
    if name in configured:
        return configured[name]
    if not configured:
        raise ProviderUnknownError("there are no identity providers: add login.providers")
    near = get_close_matches(name, configured, 1)
    hint = f"did you mean {near[0]}?" if near else f"write {' or '.join(configured)}"
    raise ProviderUnknownError(f"login.providers has no {name}: {hint}")


def examine_claims(loaded: LoadedConfig, name: str, file: Path) -> list[CheckResult]:
    """Return the local identity of the account with the claims of a file, or why it has none.

    Raises:
        ProviderUnknownError: the configuration has no such provider.
        ClaimsFileError, UsersFileError, BindingsFileError: a file cannot be used.
    """
    provider = provider_without_secrets(loaded, name)
    try:
        claims = read_claims(file, provider)
    except ProviderRefusedError as error:
        return [problem("login", refusal_text(error, name))]
    return [*examine(provider, claims, accounts_of(loaded))]


def provider_without_secrets(loaded: LoadedConfig, name: str) -> Provider:
    """Return a provider for decisions about accounts, which need no secret.

    Raises:
        ProviderUnknownError: the configuration has no such provider.
    """
    without = {"client_secret_file": None, "client_key_file": None}
    settings = settings_of(loaded, name).model_copy(update=without)
    return settings.provider(name, loaded.directory)


def accounts_of(loaded: LoadedConfig) -> AccountDirectory:
    """Return the users, links and bindings of this configuration as they are now."""
    auth = loaded.settings.auth
    return WatchedUsersFile(loaded.path(auth.users), bindings=loaded.path(auth.bindings))


def read_claims(path: Path, provider: Provider) -> ProviderClaims:
    """Return the claims of a JSON file as those of a verified ID token of this provider.

    Raises:
        ClaimsFileError: not a JSON object, without `sub`, or of another issuer.
        ProviderRefusedError: the groups are malformed.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        raw = file.read(MAX_PROVIDER_RESPONSE_BYTES + 1)
    try:
        values = read_object(raw[:MAX_PROVIDER_RESPONSE_BYTES])
    except ValueError:
        raise ClaimsFileError(
            f"{path} is not a JSON object: write the claims of an ID token"
        ) from None
    account, issuer = values.get("sub"), values.get("iss", provider.issuer)
    if not isinstance(account, str) or not is_plain_text(account):
        raise ClaimsFileError(f"{path} has no valid `sub`, which identifies the account: add it")
    if issuer != provider.issuer:
        raise ClaimsFileError(
            f"{path} is of another issuer than login.providers.{provider.name}.issuer "
            f"({provider.issuer}): correct `iss`, or name another provider"
        )
    token = ProviderIdToken(
        account,
        values,
        issued_at=0.0,
        amr=_texts(values.get("amr")),
        acr=_text(values.get("acr")),
    )
    return claims_of_id_token(token, provider)


def examine(
    provider: Provider, claims: ProviderClaims, users: AccountDirectory
) -> Iterator[CheckResult]:
    """Yield the parts of the account's identity here, and last whether it may log in."""
    yield ok("account", f"{claims.account} at {claims.issuer}")
    try:
        admitted = admit(provider, claims, users)
    except ProviderRefusedError as error:
        if error.sub:
            yield ok("subject", error.sub)
        yield problem("login", refusal_text(error, provider.name))
        return
    yield ok("subject", f"{admitted.sub}{_owner(admitted)}")
    yield _groups(provider, admitted)
    yield _email(provider, claims, admitted)
    factor = "reported by the provider" if admitted.has_factor else "not reported by the provider"
    yield ok("second factor", factor)
    yield ok("login", "admitted")


def refusal_text(error: ProviderRefusedError, name: str) -> str:
    """Return the cause of a refusal: its code, its meaning, and the key to change."""
    remedy = _REMEDIES.get(error.cause, "")
    key = f"login.providers.{name}"
    return (
        f"refused ({error.cause}): {error.note}{remedy.format(key=key, name=name, sub=error.sub)}"
    )


def _owner(admitted: Admitted) -> str:
    if admitted.source == USERS:
        return ", the user that the account is linked to"
    return ", which this login would bind to the account" if admitted.binds else ""


def _groups(provider: Provider, admitted: Admitted) -> CheckResult:
    names = ", ".join(admitted.groups) or "none"
    if not admitted.dropped_groups:
        return ok("groups", names)
    left_out = ", ".join(map(repr, admitted.dropped_groups))
    message = (
        f"{names}; left out: {left_out}, which cannot be names of groups here: "
        f"add them to login.providers.{provider.name}.groups.map, or {GROUP_CHARACTERS}"
    )
    return warning("groups", message)


def _email(provider: Provider, claims: ProviderClaims, admitted: Admitted) -> CheckResult:
    if admitted.email:
        return ok("e-mail", admitted.email)
    if admitted.source == USERS or not claims.values.get("email"):
        return ok("e-mail", "none")
    key = f"login.providers.{provider.name}"
    cause = (
        f"its domain is not in {key}.accept.domains"
        if claims.values.get("email_verified") is True
        else "email_verified is not true"
    )
    message = (
        f"not passed on, since {cause}: if every address of this provider can be trusted, set "
        f"{key}.email: trusted"
    )
    return warning("e-mail", message)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(text for text in values if isinstance(text, str))
