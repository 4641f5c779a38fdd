"""Recipes of all proxies, rendered from a configuration; the examples are those of their own."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import re2
import yaml
from click.testing import CliRunner

from authgw.cli import main
from authgw.config.loader import load
from authgw.config.schema import Settings
from authgw.core.endpoints import ENDPOINTS, Audience
from authgw.core.errors import OperatorError
from authgw.dialects.registry import TARGET_HEADERS
from authgw.recipes.cleared import CLEARED
from authgw.recipes.registry import RECIPES
from tests.support.processes import authgw_here

EXAMPLES = Path(__file__).parents[3] / "examples"
# NGINX's recipe is a set of snippets for any host; the others publish the hosts of login pages.
PROXIES = [name for name in RECIPES if name != "nginx"]
STATIC = {
    "caddy": {"Caddyfile"},
    "envoy": {"envoy.yaml"},
    "haproxy": {"haproxy.cfg"},
    "traefik": {"traefik.yml", "docker-compose.yml", "dynamic/app.yml"},
}
LOGIN = "https://auth.example.com/login"
RULES = [{"host": "app.example.com", "allow": "authenticated"}]
HEADERS = {"user": "X-WEBAUTH-USER", "groups": "X-Groups", "email": "X-Mail", "name": "X-Full-Name"}


def files(proxy: str, **settings: Any) -> dict[str, str]:
    sections = {"login": {"url": LOGIN}, "rules": RULES, **settings}
    return RECIPES[proxy].render(Settings.model_validate(sections))


def whole(proxy: str, **settings: Any) -> str:
    return "\n".join(files(proxy, **settings).values())


def test_the_command_line_has_a_command_for_each_recipe() -> None:
    listed = CliRunner().invoke(main, ["--help"]).output
    for name, recipe in RECIPES.items():
        assert f"  {name}  " in listed
        assert f"Write the configuration of {recipe.proxy} for this gateway." in listed


@pytest.mark.parametrize("proxy", PROXIES)
def test_an_example_is_rendered_from_its_own_configuration(proxy: str) -> None:
    folder = EXAMPLES / proxy
    texts = RECIPES[proxy].render(load(folder / "config.yml", {}).settings)
    for name, text in texts.items():
        again = f"write it again: authgw {proxy} write . --force in examples/{proxy}"
        assert (folder / name).read_text() == text, again
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    shipped = {name for name in found if not re.match(r"secrets/|var/|\.?users\.yml", name)}
    assert shipped == {*texts, *STATIC[proxy], "config.yml", "README.md"}


@pytest.mark.parametrize("proxy", PROXIES)
def test_an_example_is_short(proxy: str) -> None:
    assert len((EXAMPLES / proxy / "README.md").read_text().splitlines()) <= 60


def published(text: str) -> set[str]:
    """Return the regular expressions of public paths in a recipe."""
    return set(re.findall(r"\^[^'`\s]*/login[^'`\s]*\$(?=['`\s])", text))


@pytest.mark.parametrize("proxy", PROXIES)
def test_exactly_the_public_paths_are_published(proxy: str) -> None:
    expressions = published(whole(proxy))
    if proxy == "envoy":
        expressions = {"|".join(expressions)}
    assert len(expressions) in (1, 2), expressions  # in labels `$` is doubled
    for expression in expressions:
        for endpoint in ENDPOINTS:
            is_public = Audience.PUBLIC in endpoint.audience
            path = endpoint.path.replace("{name}", "my-company2")
            assert bool(re.search(expression, path)) == is_public, endpoint.path


@pytest.mark.parametrize("proxy", PROXIES)
def test_an_app_at_the_login_host_keeps_its_front_page_and_icon(proxy: str) -> None:
    rules = [{"host": "auth.example.com", "allow": "authenticated"}]
    shared = whole(proxy, rules=rules)
    assert r"/login/icon\.svg" in shared
    assert "favicon" not in shared
    assert "/login/account" not in re.sub(r"\^\S*\$", "", shared)


@pytest.mark.parametrize("proxy", PROXIES)
def test_custom_identity_headers_are_set_and_the_standard_names_cleared(proxy: str) -> None:
    text = whole(proxy, headers=HEADERS)
    for name in HEADERS.values():
        assert re.search(name, text, re.IGNORECASE), name
    cleared = {name.lower() for name in cleared_by(proxy, headers=HEADERS)}
    assert {"remote-user", "remote-groups", "remote-email", "remote-name"} <= cleared
    assert not cleared & {name.lower() for name in HEADERS.values()}


def cleared_by(proxy: str, **settings: Any) -> set[str]:
    """Return the names of the headers that the recipe clears on the way to an app."""
    texts = files(proxy, **settings)
    if proxy == "traefik":
        middlewares = yaml.safe_load(texts["dynamic/authgw.yml"])["http"]["middlewares"]
        return set(middlewares["authgw-clear"]["headers"]["customRequestHeaders"])
    if proxy == "envoy":
        return set(routes(texts)["request_headers_to_remove"])
    if proxy == "caddy":
        return set(re.findall(r"request_header -(\S+)", texts["authgw.caddy"]))
    lines = re.findall(r"del-header \^\((.+)\)\$ -m reg", texts["authgw.cfg"])
    return {name.replace(".", "-") for line in lines for name in line.split("|")}


def routes(texts: dict[str, str]) -> dict[str, Any]:
    (resource,) = yaml.safe_load(texts["authgw-routes.yaml"])["resources"]
    made: dict[str, Any] = resource
    return made


@pytest.mark.parametrize("proxy", PROXIES)
def test_every_recipe_clears_the_same_headers(proxy: str) -> None:
    sent = {"remote-user", "remote-groups", "remote-email", "remote-name"}
    cleared = {name.lower() for name in cleared_by(proxy)}
    assert {name.lower() for name in CLEARED} - sent <= cleared
    # They reach the app unchanged, because the check considered them.
    assert "destination" not in cleared
    assert not [name for name in cleared if "method-override" in name]


@pytest.mark.parametrize("proxy", PROXIES)
def test_headers_about_the_original_request_are_cleared_for_the_gateway(proxy: str) -> None:
    texts = files(proxy)
    if proxy == "traefik":
        http = yaml.safe_load(texts["dynamic/authgw.yml"])["http"]
        assert "authgw-direct" in http["routers"]["authgw-login"]["middlewares"]
        found = set(http["middlewares"]["authgw-direct"]["headers"]["customRequestHeaders"])
    elif proxy == "envoy":
        found = set(routes(texts)["virtual_hosts"][0]["routes"][0]["request_headers_to_remove"])
    elif proxy == "caddy":
        found = set(re.findall(r"header_up -(\S+)", texts["authgw.caddy"]))
    else:
        found = set(re.findall(r"del-header (\S+) if authgw_login", texts["authgw.cfg"]))
    assert {name.lower() for name in TARGET_HEADERS} <= {name.lower() for name in found}


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize(
    ("server", "host", "port"),
    [
        ({}, "127.0.0.1", 8080),
        ({"host": "0.0.0.0", "port": 9000}, "127.0.0.1", 9000),
        ({"host": "::", "port": 9000}, "::1", 9000),
        ({"host": "gateway.internal"}, "gateway.internal", 8080),
    ],
)
def test_the_recipe_reaches_the_gateway(
    proxy: str, server: dict[str, Any], host: str, port: int
) -> None:
    text = whole(proxy, server=server)
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if proxy == "envoy":
        assert f'socket_address: {{address: "{host}", port_value: {port}}}' in text
        assert ("STRICT_DNS" in text) == (host == "gateway.internal")
    else:
        assert authority in text


SOCKET = {"socket": "/run/authgw/authgw.sock", "trusted_proxies": ["unix"]}


@pytest.mark.parametrize(
    ("proxy", "line"),
    [
        ("caddy", "forward_auth unix//run/authgw/authgw.sock {"),
        ("envoy", "pipe: {path: /run/authgw/authgw.sock}"),
        ("haproxy", "server authgw unix@/run/authgw/authgw.sock"),
        # Traefik connects to no unix socket.
        ("traefik", "url: http://127.0.0.1:8080"),
    ],
)
def test_the_socket_is_used_where_the_proxy_can(proxy: str, line: str) -> None:
    assert line in whole(proxy, server=SOCKET)
    assert ("authgw.sock" in whole(proxy, server={"socket": SOCKET["socket"]})) is False


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_login_page_below_a_path_is_published_there(proxy: str) -> None:
    text = whole(proxy, login={"url": "https://auth.example.com/s.so/login"})
    assert r"^/s\.so(?:/authenticate|" in text
    assert "/s.so/login/account" not in text  # the rest of the host belongs to an app
    stripped = {
        "traefik": "prefixes: [/s.so]",
        "caddy": "uri strip_prefix /s.so",
        "envoy": r"pattern: {regex: '^/s\.so'}",
        "haproxy": r"replace-path '^/s\.so(/.*)$' '\1'",
    }
    assert stripped[proxy] in text


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_login_host_that_a_rule_names_has_an_app(proxy: str) -> None:
    alone = whole(proxy)
    shared = whole(proxy, rules=[{"host": "auth.example.com", "allow": "authenticated"}])
    assert "404" in alone
    assert "/login/account" in alone.replace("|/login/account|", "|")
    assert "the app's" in shared
    assert "/login/account" not in shared.replace("|/login/account|", "|")


@pytest.mark.parametrize("proxy", PROXIES)
def test_several_login_pages_are_published(proxy: str) -> None:
    pages = [{"url": "https://a.test/x/login"}, {"url": "https://b.test/login"}]
    text = whole(proxy, login={"domains": pages})
    assert "a.test" in text
    assert "b.test" in text
    assert "^/x(?:/authenticate|" in text
    assert "^(?:/authenticate|" in text


def test_no_expression_is_larger_than_envoy_accepts() -> None:
    """The default of `re2.max_program_size.error_level` in Envoy."""
    url = "https://auth.example.com/a-path-of-the-site/login"
    expressions = published(whole("envoy", login={"url": url}))
    assert expressions
    assert all(re2.compile(expression).programsize <= 100 for expression in expressions)


def test_envoy_routes_the_hosts_of_rules_to_clusters_of_the_same_name() -> None:
    def domains(rules: Any) -> list[tuple[str, str]]:
        made = routes(files("envoy", rules=rules))["virtual_hosts"][1:]
        return [(one["domains"][0], one["routes"][0]["route"]["cluster"]) for one in made]

    named = [{"host": host, "allow": "anyone"} for host in ("a.test", "*.b.test", "a.test")]
    assert domains(named) == [("a.test", "a.test"), ("*.b.test", "*.b.test")]
    assert domains([*named, {"allow": "anyone"}])[-1] == ("*", "*")
    assert domains([{"allow": "anyone"}]) == [("*", "*")]
    without = RECIPES["envoy"].render(Settings.model_validate({"login": {"url": LOGIN}}))
    assert routes(without)["virtual_hosts"][1]["domains"] == ["*"]


def test_the_labels_are_those_of_the_dynamic_configuration() -> None:
    texts = files("traefik")
    labels = yaml.safe_load(texts["authgw-labels.yml"])["services"]["authgw"]["labels"]
    pairs = dict(label.replace("$$", "$").split("=", 1) for label in labels)
    http = yaml.safe_load(texts["dynamic/authgw.yml"])["http"]
    router = http["routers"]["authgw-login"]
    assert pairs["traefik.http.routers.authgw-login.rule"] == router["rule"]
    assert pairs["traefik.http.middlewares.authgw-clear.headers.customRequestHeaders.Proxy"] == ""
    check = "traefik.http.middlewares.authgw-check.forwardAuth"
    assert pairs[f"{check}.address"] == "http://authgw:8080/authenticate/forward"
    assert pairs[f"{check}.trustForwardHeader"] == "true"
    assert pairs["traefik.http.services.authgw.loadBalancer.server.port"] == "8080"
    assert not [label for label in labels if re.search(r"(?<!\$)\$(?!\$)", label)]


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"login": {}}, "login.url is not set, so"),
        ({"login": {"url": "https://auth.example.com/a;b/login"}}, "cannot be written into"),
        ({"login": {"url": "https://auth.example.com/a{1}/login"}}, "cannot be written into"),
    ],
)
def test_values_that_break_a_proxys_syntax_are_refused(
    proxy: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(OperatorError, match=message):
        files(proxy, **settings)


@pytest.mark.parametrize("proxy", ["caddy", "envoy", "haproxy"])
def test_a_socket_that_breaks_a_proxys_syntax_is_refused(proxy: str) -> None:
    server = {"socket": "/run/a b.sock", "trusted_proxies": ["unix"]}
    with pytest.raises(OperatorError, match=f"{RECIPES[proxy].proxy}'s configuration"):
        files(proxy, server=server)


@pytest.mark.parametrize("proxy", PROXIES)
def test_write_lists_the_written_files(tmp_path: Path, proxy: str) -> None:
    (tmp_path / "config.yml").write_text(json.dumps({"login": {"url": LOGIN}}))
    first = authgw_here(tmp_path, proxy, "write", "etc")
    assert first.exit_code == 0, first.output
    for name in files(proxy):
        assert f"wrote etc/{name}\n" in first.output
        assert (tmp_path / "etc" / name).is_file()
    assert RECIPES[proxy].load in first.output
    again = authgw_here(tmp_path, proxy, "write", "etc")
    assert (again.exit_code, again.output) == (0, "etc is up to date.\n")
    changed = next(iter(files(proxy)))
    (tmp_path / "etc" / changed).write_text("mine")
    refused = authgw_here(tmp_path, proxy, "write", "etc")
    assert refused.exit_code == 1
    assert f"etc contains other versions of {changed}: nothing was written" in refused.output
    assert authgw_here(tmp_path, proxy, "write", "etc", "--force").exit_code == 0
    assert (tmp_path / "etc" / changed).read_text() != "mine"
