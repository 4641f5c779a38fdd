"""No slip in the rules allows a denied request: the slip is refused, or it allows no more."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from authgw.config.loader import ConfigError, load
from authgw.core.model import Verdict
from authgw.core.rules import Rules, decide
from tests.support.rules import ADMIN, USER, asked

RULES: list[dict[str, Any]] = [
    {"host": "app.example.com", "path": ["/public/**", "=/health"], "allow": "anyone"},
    {"host": "app.example.com", "path": "/admin/**", "allow": ["group:admins"]},
    {
        "host": "api.example.com",
        "path": "/v1/**",
        "method": ["GET"],
        "from": ["10.0.0.0/8"],
        "allow": "authenticated",
        "credentials": "bearer",
        "require": "totp",
    },
]
_VALUES: tuple[Any, ...] = (
    None, "", [], {}, 0, True, False, [None], [[]], {"anyone": True}, "everyone", "Anyone", "any",
    "*", "group:", "groups:admins", "user", "anyone,", "!anyone", "not anyone", ["anyone", "x"],
    "all", "none", "**", "0.0.0.0/33", "999.0.0.0/8", "GETS", "get", "otp",
)  # fmt: skip  # rows of a table


def slips() -> Iterator[object]:
    """Variants of the section with a typing error."""
    yield from (None, "", [], {}, "anyone", True, [None], [[]], ["anyone"], {"0": RULES[1]})
    for number, entry in enumerate(RULES):
        for key in entry:
            for other in (key[:-1], f"{key}s", key.upper(), f" {key}", f"-{key}", f"{key}:"):
                changed = deepcopy(RULES)
                changed[number][other] = changed[number].pop(key)
                yield changed
            for value in _VALUES:
                changed = deepcopy(RULES)
                changed[number][key] = value
                yield changed


def allowed(rules: Rules) -> set[tuple[int, ...]]:
    """Which of some hundred requests pass, each by nobody, a user and an administrator."""
    hosts = ("app.example.com", "api.example.com", "other.example.org")
    paths = ("/", "/public/x", "/health", "/admin", "/admin/x", "/v1/x", "/v2/x", "/public")
    asking = product(
        enumerate(hosts),
        enumerate(paths),
        enumerate(("GET", "POST")),
        enumerate(("10.1.1.1", "::1")),
    )
    passed: set[tuple[int, ...]] = set()
    for (one, host), (two, path), (three, method), (four, address) in asking:
        access = asked(path, host, method, address)
        for who, caller in enumerate((None, USER, ADMIN)):
            if decide(rules.match(access), access, caller, "").verdict is Verdict.ALLOW:
                passed.add((one, two, three, four, who))
    return passed


def test_no_slip_in_the_environment_opens_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = yaml.safe_dump(RULES, default_flow_style=True, width=10_000)
    before = load(None, {"AUTHGW_RULES": whole}).rules
    assert before is not None
    refused = 0
    for environ in slips_of_variables(whole):
        try:
            rules = load(None, environ).rules
        except ConfigError:
            refused += 1
            continue
        assert rules is not None, environ
        assert not allowed(rules) - allowed(before), environ
    assert refused > 300


def slips_of_variables(whole: str) -> Iterator[dict[str, str]]:
    """The variable with its name, or its value, by a slip of the pen."""
    name = "AUTHGW_RULES"
    others = (
        *(name.lower(), name.title(), f"{name}_", f"{name}__", f"{name}_FILE", f"{name}__0"),
        *("AUTHGW_RULE", "AUTHGW__RULES", "AUTHGWRULES", "AUTHWG_RULES", "AUTH_GW_RULES"),
    )
    yield from ({other: whole} for other in others)
    yield from ({name: str(value)} for value in _VALUES)
    for end in range(0, len(whole), 2):
        # A value that was cut off, as by a quote of the shell.
        yield {name: whole[:end]}
        yield {name: whole[end + 1 :]}


def test_no_slip_opens_anything(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"

    def read(section: object) -> Rules | None:
        file.write_text(yaml.safe_dump({"rules": section}))
        return load(file, {}).rules

    before = read(RULES)
    assert before is not None
    refused, harmless = 0, 0
    for section in slips():
        try:
            rules = read(section)
        except ConfigError:
            refused += 1
            continue
        assert rules is not None, section
        widened = allowed(rules) - allowed(before)
        if not widened:
            harmless += 1
            continue
        # A line that allows it in plain words is not a typing error.
        assert is_plain(section), (section, sorted(widened))
    assert refused > 250
    assert harmless
    for name in ("rule", "Rules", "rules ", "access_control"):
        file.write_text(yaml.safe_dump({name: RULES}))
        try:
            load(file, {})
        except ConfigError as error:
            assert name.strip() in str(error)  # noqa: PT017  the other outcome is not an exception
        else:
            raise AssertionError(name)


def is_plain(section: object) -> bool:
    """Return True if a pattern was replaced by a pattern that matches everything."""
    assert isinstance(section, list)
    return any(entry.get(key) in ("*", "**") for entry in section for key in ("host", "path"))
