"""The list of paths: the routes register it, and the recipe publishes its public part."""

import re
from pathlib import Path

import pytest

from authgw.core.endpoints import (
    ENDPOINTS,
    Audience,
    paths_for,
    pattern_of,
    published_paths,
)

ROOT = Path(__file__).parents[3]
PUBLIC = pattern_of(paths_for(Audience.PUBLIC))


def test_paths_are_unique() -> None:
    paths = [endpoint.path for endpoint in ENDPOINTS]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize("audience", [Audience.BACKEND, Audience.OPERATOR])
def test_only_public_paths_are_published(audience: Audience) -> None:
    assert not set(paths_for(audience)) & set(paths_for(Audience.PUBLIC))
    assert not [path for path in paths_for(audience) if re.match(PUBLIC, path)]


@pytest.mark.parametrize(
    "path",
    [
        "/login/denied",
        "/login/",
        "/login/style_css",
        "/loginx",
        "/x/login",
        "/authenticate/forward",
        "/authenticate/envoy/login",
        "/logout/",
    ],
)
def test_neighbours_of_public_paths_are_not_published(path: str) -> None:
    assert re.match(PUBLIC, path) is None


def test_a_parameter_is_one_segment() -> None:
    pattern = pattern_of(("/login/oidc/{name}/callback", "/login/style.css"))
    assert pattern == r"^(?:/login/oidc/[a-z0-9-]+/callback|/login/style\.css)$"
    assert re.match(pattern, "/login/oidc/my-company2/callback")
    for path in ("/login/oidc//callback", "/login/oidc/a/b/callback", "/login/oidc/../callback"):
        assert re.match(pattern, path) is None


@pytest.mark.parametrize(
    ("path", "is_public"),
    [
        ("/login/oidc/company", True),
        ("/login/oidc/company/callback", True),
        ("/login/oidc/company/backchannel", True),
        ("/login/oidc/company/link", True),
        ("/login/oidc/company/icon", True),
        ("/login/rescue", True),
        ("/login/oidc", False),
        ("/login/oidc/", False),
        ("/login/oidc/Company", False),
        ("/login/oidc/company/", False),
        ("/login/oidc/company/callback/", False),
        ("/login/oidc/company/other", False),
        ("/login/oidc/%63ompany", False),
        ("/login/oidc/company/../callback", False),
    ],
)
def test_the_paths_of_identity_providers_are_published(path: str, is_public: bool) -> None:
    """Each has its name in its path, and wrong names are not published."""
    assert (re.match(PUBLIC, path) is not None) is is_public


def test_only_paths_that_apps_have_too_need_a_host_without_an_app() -> None:
    assert set(published_paths(own_host=True)) == set(paths_for(Audience.PUBLIC))
    beside_an_app = set(published_paths(own_host=False))
    assert set(paths_for(Audience.PUBLIC)) - beside_an_app == {"/favicon.ico"}


def test_the_recipe_publishes_the_public_paths() -> None:
    text = (ROOT / "nginx" / "authgw" / "gateway.conf").read_text()
    beside_an_app = pattern_of(published_paths(own_host=False))
    assert re.findall(r"^location ~ (\S+) \{$", text, re.MULTILINE) == [beside_an_app]
    text = (ROOT / "nginx" / "authgw" / "login-host.conf").read_text()
    exact = set(re.findall(r"^location = (\S+) \{$", text, re.MULTILINE))
    missing = set(paths_for(Audience.PUBLIC)) - set(published_paths(own_host=False))
    assert exact == {"/", *missing}


def test_the_ingress_publishes_the_paths_for_browsers_and_clients() -> None:
    text = (ROOT / "examples" / "kubernetes" / "ingress.yaml").read_text()
    published = re.findall(r"path: (/\S+), pathType: Exact", text)
    # An ingress cannot clear a client's headers about an original request.
    private = {"/authenticate", "/ping"}
    # No ingress has parameters: all paths below are the gateway's.
    below = {path for path in paths_for(Audience.PUBLIC) if path.startswith("/login/oidc/")}
    assert set(published) == set(paths_for(Audience.PUBLIC)) - private - below
    assert re.findall(r"path: (/\S+), pathType: Prefix", text) == ["/login/oidc"]
