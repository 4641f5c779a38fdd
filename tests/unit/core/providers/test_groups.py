"""Local groups: nothing that the operator did not map, nothing that a header cannot hold."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core.errors import ProviderRefusedError
from authgw.core.limits import MAX_GROUPS_BYTES
from authgw.core.providers.groups import LocalGroups, local_groups
from authgw.core.providers.model import GroupMapping, ProviderClaims
from authgw.core.users import GROUP_NAME
from tests.support.provider_tokens import ISSUER

MAPPED = GroupMapping(by_name={"kc-admins": "admins", "Domain Users": "users"})
PREFIXED = GroupMapping(prefix="kc:")
BOTH = GroupMapping(by_name=MAPPED.by_name, prefix="kc:")


def of(mapping: GroupMapping, groups: Any, **values: Any) -> LocalGroups:
    return local_groups(ProviderClaims(ISSUER, "1", {}, groups, **values), mapping)


@pytest.mark.parametrize(
    ("mapping", "groups", "names", "dropped"),
    [
        (PREFIXED, ("admins", "/staff"), ("kc:admins", "kc:/staff"), ()),
        (MAPPED, ("kc-admins", "admins", "other"), ("admins",), ()),
        (BOTH, ("kc-admins", "admins"), ("admins", "kc:admins"), ()),
        (BOTH, ("KC-admins",), ("kc:KC-admins",), ()),
        (MAPPED, ("Domain Users",), ("users",), ()),
        (GroupMapping(), ("admins",), (), ()),
        (PREFIXED, (), (), ()),
        (PREFIXED, None, (), ()),
        (PREFIXED, ("a", "a"), ("kc:a",), ()),
        (
            PREFIXED,
            ("Domain Users", "a,admins", "a\nb", "é", "x" * 62, "ok", "ok\n"),
            ("kc:ok",),
            ("Domain Users", "a,admins", "a\nb", "é", "x" * 62, "ok\n"),
        ),
        (PREFIXED, ("x" * 61, ""), ("kc:" + "x" * 61, "kc:"), ()),
    ],
)
def test_groups_are_mapped_or_prefixed(
    mapping: GroupMapping, groups: Any, names: tuple[str, ...], dropped: tuple[str, ...]
) -> None:
    assert of(mapping, groups) == LocalGroups(names, dropped)


@given(st.lists(st.text(max_size=70), max_size=50))
def test_a_provider_cannot_grant_a_local_group(groups: list[str]) -> None:
    found = of(BOTH, (*groups, "admins", "users"))
    assert all(GROUP_NAME.fullmatch(name) for name in found.names)
    unmapped = {name for name in found.names if not name.startswith("kc:")}
    assert unmapped <= {MAPPED.by_name[name] for name in groups if name in MAPPED.by_name}


def test_too_many_groups_are_refused_and_not_cut() -> None:
    many = tuple(f"group-{number:04}" for number in range(5000))
    with pytest.raises(ProviderRefusedError) as caught:
        of(PREFIXED, many)
    assert caught.value.cause == "groups_size"
    assert of(MAPPED, (*many, "kc-admins")).names == ("admins",)
    exact = MAX_GROUPS_BYTES // 16
    assert len(of(PREFIXED, tuple(f"{number:012}" for number in range(exact))).names) == exact
    with pytest.raises(ProviderRefusedError):
        of(PREFIXED, tuple(f"{number:012}" for number in range(exact + 1)))


def test_groups_that_were_left_out_are_refused() -> None:
    with pytest.raises(ProviderRefusedError) as caught:
        of(PREFIXED, None, needs_graph=True)
    assert (caught.value.cause, caught.value.status) == ("groups_overage", 403)
