"""Warnings about identity providers whose settings are valid but perhaps mistakes."""

from collections.abc import Iterator, Mapping

from authgw.config.providers import ProviderSettings
from authgw.config.rules import RuleEntry

_PUBLIC_HOSTS = frozenset(
    {
        "accounts.google.com",
        "login.microsoftonline.com",
        "github.com",
        "gitlab.com",
        "appleid.apple.com",
    }
)


def provider_warnings(
    providers: Mapping[str, ProviderSettings], rules: tuple[RuleEntry, ...] | None
) -> Iterator[str]:
    """Yield a sentence for each; `rules` is None if the section is absent."""
    for name, settings in providers.items():
        if settings.accept == "everyone" and settings.host in _PUBLIC_HOSTS:
            yield (
                f"login.providers.{name}.accept is everyone, and anybody can have an account at "
                f"{settings.host}: write linked or {{domains: [...]}} to limit the logins."
            )
        if settings.accepts_unlinked:
            yield from _widened(name, rules)
    yield from _shared_groups(providers)


def _widened(name: str, rules: tuple[RuleEntry, ...] | None) -> Iterator[str]:
    if rules is None:
        yield (
            f"login.providers.{name}.accept admits accounts that are not linked, and without rules "
            "they may open every host: write rules, or accept: linked."
        )
        return
    numbers = [
        f"rules[{number}]"
        for number, rule in enumerate(rules)
        if "authenticated" in rule.allow and f"provider:{name}" not in rule.allow
    ]
    if numbers:
        yield (
            f"{', '.join(numbers)}: authenticated includes the accounts that "
            f"login.providers.{name}.accept admits: write groups or users, or add provider:{name} "
            "if that is intended."
        )


def _shared_groups(providers: Mapping[str, ProviderSettings]) -> Iterator[str]:
    sources: dict[str, dict[str, None]] = {}
    for name, settings in providers.items():
        for group in settings.groups.map.values():
            sources.setdefault(group, {})[name] = None
    for group, names in sources.items():
        if len(names) > 1:
            yield (
                f"login.providers: {' and '.join(names)} map groups to the local group {group}, so "
                "that each of them decides who is in it: map them to different groups."
            )
