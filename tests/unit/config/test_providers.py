"""The section `login.providers`: what it becomes, what it refuses, and its warnings."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authgw.core.keys import SigningKeyError
from authgw.core.providers.model import (
    GITHUB_ISSUER,
    Accept,
    FactorClaims,
    GroupMapping,
    Provider,
)
from tests.support.config import loaded, problems
from tests.support.provider_settings import GITHUB, one, text


def provider(folder: Path, **keys: Any) -> Provider:
    write_secret(folder / "kc", b"s3cret\n")
    config = loaded(folder, one(**keys))
    return config.settings.login.loaded_providers(folder)["company"]


def write_secret(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


def test_a_provider_with_its_defaults(tmp_path: Path) -> None:
    assert provider(tmp_path) == Provider(
        name="company",
        kind="oidc",
        issuer="https://kc.example.com/realms/x",
        client_id="authgw",
        accept=Accept(),
        client_secret="s3cret",
        label="company",
        groups=GroupMapping(prefix="company:"),
    )


def test_every_key_of_a_provider(tmp_path: Path) -> None:
    found = provider(
        tmp_path,
        label="Example Ltd",
        icon="kc.svg",
        subject="email",
        names="plain",
        bind="first",
        accept={"domains": ["example.com"], "groups": ["staff"], "tenant": "t"},
        groups={"claim": "roles", "map": {"kc-admins": "admins"}},
        second_factor={"amr": ["otp"], "acr": ["phr"]},
        email="trusted",
        scopes=["openid", "groups"],
        refresh="15m",
        stale="8h",
        session="2h",
        skew="5s",
        logout={"hint": True},
        auth_time=False,
        algorithms=["ES256"],
        extra={"prompt": "login"},
        ca_file="ca.pem",
        backchannel_from=["10.0.0.0/8"],
    )
    assert found == Provider(
        name="company",
        kind="oidc",
        issuer="https://kc.example.com/realms/x",
        client_id="authgw",
        accept=Accept(False, frozenset({"example.com"}), frozenset({"staff"}), "t"),
        client_secret="s3cret",
        label="Example Ltd",
        icon="kc.svg",
        subject="email",
        plain_names=True,
        binds_first=True,
        groups=GroupMapping("roles", {"kc-admins": "admins"}, ""),
        second_factor=FactorClaims(frozenset({"otp"}), frozenset({"phr"})),
        trusts_email=True,
        scopes=("openid", "groups"),
        algorithms=("ES256",),
        extra={"prompt": "login"},
        refresh=900.0,
        stale=8 * 3600.0,
        session=2 * 3600.0,
        skew=5.0,
        logs_out=True,
        sends_hint=True,
        reports_auth_time=False,
    )


def test_github_has_its_own_issuer_and_scopes(tmp_path: Path) -> None:
    write_secret(tmp_path / "kc", b"s3cret\n")
    config = loaded(tmp_path, text(gh={**GITHUB, "accept": {"groups": ["acme"]}}))
    found = config.settings.login.loaded_providers(tmp_path)["gh"]
    assert (found.kind, found.issuer) == ("github", GITHUB_ISSUER)
    assert found.scopes == ("read:user", "user:email", "read:org")
    assert found.reports_auth_time is False


def test_github_enterprise_server_has_an_issuer(tmp_path: Path) -> None:
    write_secret(tmp_path / "kc", b"s3cret\n")
    config = loaded(tmp_path, text(gh={**GITHUB, "issuer": "https://github.example.com"}))
    found = config.settings.login.loaded_providers(tmp_path)["gh"]
    assert (found.kind, found.issuer) == ("github", "https://github.example.com")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("linked", Accept()),
        ("everyone", Accept(everyone=True)),
        ({"tenant": "t"}, Accept(tenant="t")),
    ],
)
def test_accept(tmp_path: Path, accept: Any, expected: Accept) -> None:
    assert provider(tmp_path, accept=accept).accept == expected


@pytest.mark.parametrize(
    ("groups", "prefix"),
    [
        ({}, "company:"),
        ({"map": {"a": "b"}}, ""),
        ({"map": {"a": "b"}, "prefix": "kc:"}, "kc:"),
        ({"prefix": "kc/"}, "kc/"),
    ],
)
def test_prefix_of_groups(tmp_path: Path, groups: Any, prefix: str) -> None:
    assert provider(tmp_path, groups=groups).groups.prefix == prefix


@pytest.mark.parametrize(
    ("logout", "expected"),
    [("local", (False, False)), ("idp", (True, False)), ({"hint": True}, (True, True))],
)
def test_logout(tmp_path: Path, logout: Any, expected: tuple[bool, bool]) -> None:
    found = provider(tmp_path, logout=logout)
    assert (found.logs_out, found.sends_hint) == expected


def test_a_private_key_in_place_of_a_secret(tmp_path: Path) -> None:
    private = generate_private_key(SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_secret(tmp_path / "kc.pem", pem)
    found = provider(tmp_path, client_secret_file=None, client_key_file="kc.pem")
    assert (found.client_secret, found.client_key.kid) == ("", "kc")
    assert found.client_key.algorithm == "ES256"


@pytest.mark.parametrize(
    ("content", "keys", "message"),
    [
        (b"", {}, "login.providers.company.client_secret_file: "),
        (None, {}, "login.providers.company.client_secret_file: "),
        (b"a\nb", {}, "contains more than a line"),
        (
            b"no key",
            {"client_secret_file": None, "client_key_file": "kc"},
            "login.providers.company.client_key_file: is not an unencrypted private key",
        ),
    ],
)
def test_a_secret_that_cannot_be_used(
    tmp_path: Path, content: bytes | None, keys: Any, message: str
) -> None:
    if content is not None:
        write_secret(tmp_path / "kc", content)
    login = loaded(tmp_path, one(**keys)).settings.login
    with pytest.raises(SigningKeyError) as caught:
        login.loaded_providers(tmp_path)
    assert message in str(caught.value)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    assert "s3cret" not in repr(provider(tmp_path))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"accept": None}, "accept: is missing: accept decides which accounts may log in: write"),
        ({"accept": "anyone"}, "accept: is not a valid value: write linked, everyone, {domains"),
        ({"accept": {}}, "accept: accepts no account: write linked"),
        ({"accept": {"domain": ["a.com"]}}, "accept.domain: unknown key: did you mean domains?"),
        ({"accept": {"domains": ["@a.com"]}}, "accept.domains[0]: is not a valid domain"),
        ({"client_id": None}, "client_id: is missing"),
        ({"issuer": None}, "issuer: is missing: write the URL of the provider, or type: github"),
        ({"client_secret_file": None}, "client_secret_file: is missing"),
        ({"client_key_file": "k.pem"}, "client_key_file: is set together with client_secret_file"),
        ({"subject": "email"}, "subject: email lets every provider account choose its name"),
        ({"extra": {"state": "x"}}, "extra: contains state, which authgw sets itself"),
        ({"extra": {"code_challenge_method": "x"}}, "extra: contains code_challenge_method"),
        ({"extra": {"request_uri": "x"}}, "extra: contains request_uri"),
        ({"extra": {"response_mode": "form_post"}}, "extra: contains response_mode"),
        ({"extra": {"max_age": "1"}}, "extra: contains max_age"),
        ({"extra": {"scope": "x"}}, "extra: contains scope"),
        ({"extra": {"a b": "x"}}, "extra: contains a name with characters"),
        ({"algorithms": ["HS256"]}, "algorithms[0]: is not a valid value: write RS256"),
        ({"algorithms": ["none"]}, "algorithms[0]: is not a valid value"),
        ({"algorithms": []}, "algorithms: is an empty list"),
        ({"refresh": "59s"}, "refresh: is too short: write at least 1m"),
        ({"refresh": "2h", "stale": "4h"}, "stale: is not longer than twice"),
        ({"skew": "6m"}, "skew: is too long"),
        ({"icon": "kc.gif"}, "icon: is not an SVG or PNG file"),
        ({"scopes": ["email"]}, "scopes: has no openid"),
        ({"groups": {"prefix": "kc"}}, "groups.prefix: is not a prefix"),
        ({"groups": {"map": {"a": "b c"}}}, "groups.map.a: is not a valid name of a group"),
        ({"logout": "provider"}, "logout: is not a valid value: write local, idp or {hint: true}"),
        ({"names": "bare"}, "names: is not a valid value: write prefixed or plain"),
        ({"isuer": "x"}, "isuer: unknown key: did you mean issuer?"),
        ({"backchannel_from": ["10.0.0.1/8"]}, "backchannel_from[0]: "),
    ],
)
def test_a_key_that_is_refused(tmp_path: Path, keys: Any, message: str) -> None:
    found = problems(tmp_path, one(**keys))
    assert len(found) == 1, found
    assert f"login.providers.company.{message}" in found[0]


@pytest.mark.parametrize(
    "name",
    [
        *("state", "nonce", "redirect_uri", "client_id", "response_type", "response_mode"),
        *("code_challenge", "code_challenge_method", "scope", "claims", "max_age"),
        *("request", "request_uri", "id_token_hint", "State"),
    ],
)
def test_no_parameter_of_the_flow_can_be_extra(tmp_path: Path, name: str) -> None:
    (found,) = problems(tmp_path, one(extra={name: "x"}))
    assert f"extra: contains {name}, which authgw sets itself" in found


@pytest.mark.parametrize("name", ["prompt", "hd", "acr_values", "login_hint", "domain_hint"])
def test_other_parameters_can_be_extra(tmp_path: Path, name: str) -> None:
    assert provider(tmp_path, extra={name: "x"}).extra == {name: "x"}


@pytest.mark.parametrize(
    ("issuer", "message"),
    [
        ("http://kc.example.com", "is http, over which anybody"),
        ("https://kc.example.com?a=b", "has a query or fragment"),
        ("https://kc.example.com#", "has a query or fragment"),
        ("https://kc.example.com ", "is not a URL"),
        ("kc.example.com", "is not a URL"),
        ("https://", "is not a URL"),
        ("https://kc.example.com:99999", "is not a URL"),
        ("https://me@kc.example.com", "has a user name"),
        ("https://KC.example.com", "with capitals"),
        ("https://kc.example.com.", "a dot at its end"),
        ("https://kc.example.com/.well-known/openid-configuration", "remove the part from"),
        ("https://login.microsoftonline.com/common/v2.0", "is for the accounts of every tenant"),
    ],
)
def test_an_issuer_that_is_refused(tmp_path: Path, issuer: str, message: str) -> None:
    (found,) = problems(tmp_path, one(issuer=issuer))
    assert "login.providers.company.issuer: " in found
    assert message in found


@pytest.mark.parametrize(
    "issuer",
    [
        "https://accounts.google.com",
        "https://ak.example.com/application/o/authgw/",
        "https://kc.example.com:8443/realms/x",
        "https://login.microsoftonline.com/1111/v2.0",
        "http://localhost:3000",
        "http://127.0.0.1:3000",
        "http://[::1]:3000",
        "http://idp.example.localhost:3000",
    ],
)
def test_an_issuer_that_is_accepted(tmp_path: Path, issuer: str) -> None:
    assert provider(tmp_path, issuer=issuer).issuer == issuer


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"issuer": "https://github.example.com/"}, "issuer"),
        ({"issuer": "http://github.example.com"}, "issuer"),
        ({"client_secret_file": None, "client_key_file": "k"}, "client_key_file"),
        ({"second_factor": {"amr": ["mfa"]}}, "second_factor"),
        ({"refresh": "15m"}, "refresh"),
        ({"stale": "24h"}, "stale"),
        ({"skew": "1m"}, "skew"),
        ({"auth_time": True}, "auth_time"),
        ({"algorithms": ["RS256"]}, "algorithms"),
        ({"backchannel_from": ["10.0.0.0/8"]}, "backchannel_from"),
        ({"logout": "idp"}, "logout"),
        ({"accept": {"tenant": "t"}}, "accept.tenant"),
    ],
)
def test_github_refuses_keys_of_openid_connect(tmp_path: Path, keys: Any, key: str) -> None:
    (found,) = problems(tmp_path, text(gh={**GITHUB, **keys}))
    assert f"login.providers.gh.{key}: " in found
