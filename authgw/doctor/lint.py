"""Warnings about rules with misspelled or unknown users and groups, compared with the users."""

import difflib
from collections.abc import Iterator

from authgw.config.loader import LoadedConfig
from authgw.core.typed_text import comparison_key
from authgw.core.users import USERS
from authgw.identity.bindings_file import load_bindings
from authgw.identity.users_file import find_name, load_users

# Begins the name of a user of a trusted backend in rules.
_BACKEND = "client/"


def user_warnings(loaded: LoadedConfig) -> Iterator[str]:
    """Yield all warnings about the names of users."""
    yield from misspelled_users(loaded)
    yield from unknown_users(loaded)
    yield from contested_names(loaded)


def unknown_groups(loaded: LoadedConfig) -> Iterator[str]:
    """Warn of groups in rules that no user is in, if they resemble a group that exists.

    Any group with the prefix of an identity provider may exist there.
    """
    users = load_users(loaded.path(loaded.settings.auth.users)).values()
    mappings = [
        settings.group_mapping(name) for name, settings in loaded.settings.login.providers.items()
    ]
    known = {group for user in users for group in user.groups}
    known |= {group for mapping in mappings for group in mapping.by_name.values()}
    prefixes = tuple(mapping.prefix for mapping in mappings if mapping.prefix)
    for rule in loaded.rules.ordered if loaded.rules else ():
        for group in sorted(rule.allow.groups - known):
            near = difflib.get_close_matches(group, known, 1)
            if near and not group.startswith(prefixes):
                yield (
                    f"{rule.origin}: rules[{rule.number}].allow: no user is in group:{group}: did "
                    f"you mean group:{near[0]}?"
                )


def misspelled_users(loaded: LoadedConfig) -> Iterator[str]:
    """Warn of users in rules whose spelling differs from the users file and so never matches."""
    known = load_users(loaded.path(loaded.settings.auth.users))
    for rule in loaded.rules.ordered if loaded.rules else ():
        for user in sorted(rule.allow.users - known.keys()):
            name = find_name(known, user)
            if name is not None:
                yield (
                    f"{rule.origin}: rules[{rule.number}].allow: user:{user} is spelled {name} in "
                    f"the users file: write user:{name}"
                )


def unknown_users(loaded: LoadedConfig) -> Iterator[str]:
    """Warn of users in rules whose name belongs to nobody, so that whoever gets it has the rights.

    Names that a provider makes of the claim `sub` belong to their account without a binding.
    Without a user, a binding or a provider, only trusted backends open sessions.
    """
    users = load_users(loaded.path(loaded.settings.auth.users))
    bindings = load_bindings(loaded.path(loaded.settings.auth.bindings))
    providers = loaded.settings.login.providers
    if not users and not bindings and not providers:
        return
    known = {comparison_key(name) for name in (*users, *bindings.names)}
    stable = tuple(f"{name}:" for name, each in providers.items() if each.subject == "sub")
    for rule in loaded.rules.ordered if loaded.rules else ():
        for user in sorted(rule.allow.users):
            is_of_backend = user.startswith(_BACKEND)
            if (
                comparison_key(user) not in known
                and not is_of_backend
                and not user.startswith(stable)
            ):
                yield (
                    f"{rule.origin}: rules[{rule.number}].allow: user:{user} is neither a user nor "
                    "bound to an account: add the user, or list the name in auth.bindings"
                )


def contested_names(loaded: LoadedConfig) -> Iterator[str]:
    """Warn of bound names that a user has, and of bound accounts that are linked to a user."""
    path = loaded.path(loaded.settings.auth.bindings)
    users = load_users(loaded.path(loaded.settings.auth.users))
    own = {comparison_key(name) for name, entry in users.items() if entry.source == USERS}
    owners = {(link.issuer, link.sub): name for name in users for link in users[name].links}
    for name, account in load_bindings(path).names.items():
        if comparison_key(name) in own:
            yield (
                f"{path}: names.{name} is the name of a user, so that its account cannot log in: "
                "remove it, or link the account to the user"
            )
        elif account in owners:
            yield (
                f"{path}: names.{name}: its account is linked to {owners[account]} and logs in as "
                "that user: remove the name, or the link"
            )
