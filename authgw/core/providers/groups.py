"""Local groups of an account, by the groups that its identity provider reports."""

from dataclasses import dataclass

from authgw.core.errors import ProviderRefusedError
from authgw.core.limits import MAX_GROUPS_BYTES
from authgw.core.providers.model import GroupMapping, ProviderClaims
from authgw.core.users import GROUP_NAME


@dataclass(frozen=True, slots=True)
class LocalGroups:
    """Local groups, and those names of the provider that cannot be a group's name here."""

    names: tuple[str, ...]
    dropped: tuple[str, ...] = ()


def local_groups(claims: ProviderClaims, mapping: GroupMapping) -> LocalGroups:
    """Return the local groups of an account.

    A provider cannot grant a group of the users file that the operator did not map: all other
    groups have the prefix, or are left out without a prefix.

    Raises:
        ProviderRefusedError: the provider left the groups out, because they are too many
            (`groups_overage`), or they are longer than a header may be (`groups_size`).
    """
    if claims.needs_graph:
        raise ProviderRefusedError(cause="groups_overage")
    names: dict[str, None] = {}
    dropped: dict[str, None] = {}
    for name in claims.groups or ():
        local = mapping.by_name.get(name) or (f"{mapping.prefix}{name}" if mapping.prefix else "")
        if GROUP_NAME.fullmatch(local):
            names[local] = None
        elif local:
            dropped[name] = None
    if sum(len(name) + 1 for name in names) > MAX_GROUPS_BYTES:
        raise ProviderRefusedError(cause="groups_size")
    return LocalGroups(tuple(names), tuple(dropped))
