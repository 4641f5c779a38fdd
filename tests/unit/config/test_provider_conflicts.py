"""Providers that contradict each other or the login page, and warnings about them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from authgw.config.effective import effective_values
from authgw.config.environment import nearest
from authgw.config.json_schema import config_schema
from tests.support.config import loaded, problems
from tests.support.provider_settings import COMPANY, GITHUB, one, text


def accepting(domain: str, **keys: Any) -> dict[str, Any]:
    return {**COMPANY, "subject": "email", "accept": {"domains": [domain]}, **keys}


OTHER = {**COMPANY, "issuer": "https://other.example.com"}


@pytest.mark.parametrize(
    ("providers", "message"),
    [
        (
            {"a": {**COMPANY, "names": "plain"}, "b": {**OTHER, "names": "plain"}},
            "b.names: is plain for a, too",
        ),
        ({"a": COMPANY, "b": COMPANY}, "b.issuer: is that of a, too"),
        ({"a": COMPANY, "b": {**COMPANY, "client_id": "x"}}, "b.issuer: is that of a, too"),
        ({"a": GITHUB, "b": {**GITHUB, "client_id": "x"}}, "b.issuer: is that of a, too"),
        (
            {"a": GITHUB, "b": {**COMPANY, "issuer": "https://github.com"}},
            "b.issuer: is that of a, too",
        ),
        (
            {"a": accepting("a.com"), "b": accepting("a.com", issuer="https://b.com")},
            "b.accept.domains: contains a.com, which a has too",
        ),
        ({"service": COMPANY}, "service: service is reserved"),
        ({"Company": COMPANY}, "Company: is not a valid name of a provider"),
        ({"a.b": COMPANY}, "a.b: is not a valid name of a provider"),
        ({"x" * 33: COMPANY}, "is not a valid name of a provider"),
    ],
)
def test_providers_that_contradict_each_other(tmp_path: Path, providers: Any, message: str) -> None:
    (found,) = problems(tmp_path, text(**providers))
    assert message in found


def test_a_domain_at_two_providers_is_accepted_for_other_names(tmp_path: Path) -> None:
    second = {**OTHER, "accept": {"domains": ["a.com"]}}
    assert loaded(tmp_path, text(a=accepting("a.com"), b=second)).settings.login.providers


@pytest.mark.parametrize(
    ("login", "providers", "message"),
    [
        ({"url": None}, {"a": COMPANY}, "login.providers: need a login page"),
        ({"passwords": False}, {}, "login.passwords: is false, and there are no"),
        ({"auto": True}, {"a": COMPANY}, "login.auto: needs passwords: false"),
        (
            {"auto": True, "passwords": False},
            {"a": COMPANY, "b": OTHER},
            "login.auto: needs passwords: false and a single provider",
        ),
        ({"self_service": ["link"]}, {}, "login.self_service: has no effect without"),
        ({"self_service": ["reset"]}, {"a": COMPANY}, "login.self_service[0]: is not a valid"),
    ],
)
def test_keys_of_the_login_that_contradict_each_other(
    tmp_path: Path, login: Any, providers: Any, message: str
) -> None:
    content = yaml.safe_load(text(login=login, **providers))
    if content["login"]["url"] is None:
        del content["login"]["url"]
    (found,) = problems(tmp_path, yaml.safe_dump(content))
    assert message in found


def test_auto_with_a_single_provider(tmp_path: Path) -> None:
    config = loaded(tmp_path, text(login={"auto": True, "passwords": False}, a=COMPANY))
    assert config.settings.login.auto


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://auth.example.com/login", "auth.example.com"),
        ("https://auth.example.com/sso/login", "other.example.com"),
        ("https://auth.example.com/", "other.example.com"),
    ],
)
def test_self_service_needs_a_login_host_without_an_app(
    tmp_path: Path, url: str, host: str
) -> None:
    """The scripts of an app on the login host could use the account page (same origin)."""
    login = {"self_service": ["link"], "url": url}
    rules = [{"allow": ["group:a"], "host": host}]
    (found,) = problems(tmp_path, text(rules, login=login, a=COMPANY))
    assert "login.self_service: needs a login page on a host of its own" in found


def test_self_service_beside_apps_on_other_hosts(tmp_path: Path) -> None:
    rules = [{"allow": ["group:a"], "host": host} for host in ("*.example.com", "a.example.com")]
    config = loaded(tmp_path, text(rules, login={"self_service": ["link"]}, a=COMPANY))
    assert config.settings.login.self_service == ("link",)


@pytest.mark.parametrize(
    ("host", "warned"),
    [
        ("https://accounts.google.com", True),
        ("https://login.microsoftonline.com/1/v2.0", True),
        ("https://gitlab.com", True),
        ("https://appleid.apple.com", True),
        ("https://kc.example.com", False),
    ],
)
def test_everyone_of_a_public_issuer_is_a_warning(tmp_path: Path, host: str, warned: bool) -> None:
    """Accept is mandatory, and the choice that opens the house is named at each start."""
    config = loaded(tmp_path, one(accept="everyone", issuer=host))
    expected = "login.providers.company.accept is everyone, and anybody can have an account"
    assert any(expected in each for each in config.warnings) is warned


def test_everyone_of_github_is_a_warning(tmp_path: Path) -> None:
    config = loaded(tmp_path, text(gh={**GITHUB, "accept": "everyone"}))
    assert any("login.providers.gh.accept is everyone" in each for each in config.warnings)


@pytest.mark.parametrize(
    ("allow", "accept", "warned"),
    [
        (["authenticated"], "linked", False),
        (["authenticated"], {"domains": ["a.com"]}, True),
        (["group:a"], {"domains": ["a.com"]}, False),
        (["authenticated", "provider:company"], {"domains": ["a.com"]}, False),
    ],
)
def test_rules_that_a_provider_widens(
    tmp_path: Path, allow: list[str], accept: Any, warned: bool
) -> None:
    config = loaded(tmp_path, text([{"allow": allow}], company={**COMPANY, "accept": accept}))
    expected = "rules[0]: authenticated includes the accounts that login.providers.company.accept"
    assert any(expected in each for each in config.warnings) is warned


def test_without_rules_a_provider_opens_every_host(tmp_path: Path) -> None:
    content = yaml.safe_load(one(accept={"domains": ["a.com"]}))
    del content["rules"]
    config = loaded(tmp_path, yaml.safe_dump(content))
    assert any("without rules they may open every host" in each for each in config.warnings)


def test_two_sources_of_a_local_group_are_a_warning(tmp_path: Path) -> None:
    first = {**COMPANY, "groups": {"map": {"x": "admins"}}}
    second = {**OTHER, "groups": {"map": {"y": "admins"}}}
    config = loaded(tmp_path, text(a=first, b=second))
    assert any("a and b map groups to the local group admins" in each for each in config.warnings)
    apart = loaded(tmp_path, text(a=first, b={**OTHER, "groups": {"map": {"y": "b"}}}))
    assert apart.warnings == ()


def test_the_variable_sets_the_whole_section(tmp_path: Path) -> None:
    value = yaml.safe_dump({"company": COMPANY})
    config = loaded(
        tmp_path,
        "login: {url: 'https://auth.example.com/login'}",
        AUTHGW_LOGIN__PROVIDERS=value,
        AUTHGW_LOGIN__SELF_SERVICE="link",
    )
    assert config.settings.login.providers["company"].client_id == "authgw"
    assert config.settings.login.self_service == ("link",)


def test_a_provider_has_no_variables_of_its_own(tmp_path: Path) -> None:
    name = "AUTHGW_LOGIN__PROVIDERS__COMPANY__CLIENT_ID"
    (found,) = problems(tmp_path, one(), **{name: "x"})
    assert found == f"{name}: unknown variable: did you mean AUTHGW_LOGIN__PROVIDERS?"
    assert nearest("AUTHGW_RULES__0__ALLOW", ("AUTHGW_RULES",)) == "AUTHGW_RULES"


def test_every_key_of_a_provider_is_shown(tmp_path: Path) -> None:
    config = loaded(tmp_path, one(groups={"map": {"a": "b"}}))
    rows = {row.key: row for row in effective_values(config.settings, config.origins)}
    assert rows["login.providers.company.issuer"].value == "https://kc.example.com/realms/x"
    assert rows["login.providers.company.groups.map"].value == {"a": "b"}
    assert rows["login.providers.company.stale"].value == "24h"


@pytest.mark.parametrize(
    ("keys", "valid"),
    [
        ({}, True),
        ({"accept": {"domains": ["a.com"]}, "logout": {"hint": True}}, True),
        ({"accept": "anyone"}, False),
        ({"isuer": "x"}, False),
        ({"logout": "x"}, False),
    ],
)
def test_editors_know_the_keys_of_a_provider(keys: Any, valid: bool) -> None:
    content = yaml.safe_load(one(**keys))
    assert Draft202012Validator(config_schema()).is_valid(content) is valid
