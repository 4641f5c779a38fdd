"""Warnings about rules with misspelled groups and users, compared with the users file."""

import difflib
from collections.abc import Iterator

from authgw.config.loader import LoadedConfig
from authgw.identity.users_file import find_name, load_users


def unknown_groups(loaded: LoadedConfig) -> Iterator[str]:
    """Warn of groups in rules that no user is in, if they resemble a group of the users file."""
    known = {
        group
        for user in load_users(loaded.path(loaded.settings.auth.users)).values()
        for group in user.groups
    }
    for rule in loaded.rules.ordered if loaded.rules else ():
        for group in sorted(rule.allow.groups - known):
            near = difflib.get_close_matches(group, known, 1)
            if near:
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
