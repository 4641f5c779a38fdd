"""Contradictions between the identity providers of `login.providers`, and their names."""

import re
from collections.abc import Iterator, Mapping

from authgw.config.provider_parts import AcceptSettings
from authgw.config.providers import ProviderSettings
from authgw.config.section import Conflict
from authgw.core.limits import MAX_PROVIDER_NAME_LENGTH

_NAME = re.compile(rf"[a-z][a-z0-9-]{{0,{MAX_PROVIDER_NAME_LENGTH - 1}}}")
# First parts of names and sources that mean something else in rules, records and bindings.
_RESERVED = frozenset(
    {"service", "client", "user", "users", "group", "provider", "oidc", "directory", "name"}
)


def between_providers(providers: Mapping[str, ProviderSettings]) -> Iterator[Conflict]:
    """Yield names that are not valid, and contradictions between providers.

    The keys are below the section `login`.
    """
    for name in providers:
        if not _NAME.fullmatch(name):
            message = (
                "is not a valid name of a provider: begin it with a letter, and write up to "
                f"{MAX_PROVIDER_NAME_LENGTH} of a-z 0-9 -"
            )
            yield _conflict((name,), message)
        if name in _RESERVED:
            message = f"{name} is reserved, since names of users begin with it: choose another"
            yield _conflict((name,), message)
    plain = [name for name, settings in providers.items() if settings.names == "plain"]
    for name in plain[1:]:
        message = (
            f"is plain for {plain[0]}, too, so that accounts of two providers could have the same "
            "name: write prefixed for one of them"
        )
        yield _conflict((name, "names"), message)
    yield from _duplicates(providers)


def _duplicates(providers: Mapping[str, ProviderSettings]) -> Iterator[Conflict]:
    issuers: dict[str, str] = {}
    domains: dict[str, str] = {}
    for name, settings in providers.items():
        first = issuers.setdefault(settings.effective_issuer, name)
        if first != name and settings.effective_issuer:
            message = (
                f"is that of {first}, too, but an account is identified by its issuer: keep one of "
                "the two providers, with all scopes, groups and domains that are needed"
            )
            yield _conflict((name, "issuer"), message)
        accept = settings.accept
        if settings.subject != "email" or not isinstance(accept, AcceptSettings):
            continue
        for domain in accept.domains:
            first = domains.setdefault(domain, name)
            if first != name:
                message = (
                    f"contains {domain}, which {first} has too, and both name users by their "
                    "e-mail address: accept each domain at a single provider"
                )
                yield _conflict((name, "accept", "domains"), message)


def _conflict(path: tuple[str, ...], message: str) -> Conflict:
    return Conflict(("providers", *path), message, ("providers",))
