"""Rendering of NGINX's recipe; the shipped files are those of the default configuration."""

import re
from pathlib import Path
from typing import Any

import pytest

from authgw.config.schema import Settings
from authgw.core.errors import OperatorError
from authgw.core.limits import PROXY_CACHE_LIFETIME
from authgw.dialects.registry import TARGET_HEADERS
from authgw.recipes.cleared import CLEARED
from authgw.recipes.nginx import FILES, render_files
from tests.support.processes import authgw_here

SHIPPED = Path(__file__).parents[3] / "nginx" / "authgw"
HEADERS = {
    "user": "X-WEBAUTH-USER",
    "groups": "X-Webauth-Groups",
    "email": "X-Mail",
    "name": "X-Full-Name",
}


def files(**settings: Any) -> dict[str, str]:
    return render_files(Settings.model_validate(settings))


@pytest.mark.parametrize("name", FILES)
def test_the_shipped_files_are_those_of_the_defaults(name: str) -> None:
    again = "write them again: .venv/bin/authgw nginx write nginx/authgw --force"
    assert (SHIPPED / name).read_text() == files()[name], again


def test_the_shipped_upstream_by_socket_is_that_of_a_socket() -> None:
    server = {"socket": "/run/authgw/authgw.sock", "trusted_proxies": ["unix"]}
    text = files(server=server)["upstream.conf"]
    assert (SHIPPED / "upstream-socket.conf").read_text() == text


def test_only_rendered_files_are_shipped() -> None:
    extra = {"upstream-socket.conf", "upstream-compose.conf"}
    assert {path.name for path in SHIPPED.iterdir()} == {*FILES, *extra}


def test_custom_identity_header_names_are_used_in_all_files() -> None:
    texts = files(headers=HEADERS)
    for text in texts.values():
        # The standard names are only cleared.
        assert not re.search(r"Remote-(User|Groups|Email|Name) [^\"]", text)
        assert "upstream_http_remote" not in text
    for prefix, name in (("proxy", "identity.conf"), ("grpc", "identity-grpc.conf")):
        assert f"{prefix}_set_header X-WEBAUTH-USER $authgw_user;" in texts[name]
        assert f'{prefix}_set_header Remote-User "";' in texts[name]
        assert 'X-Webauth-User ""' not in texts[name]
    assert "fastcgi_param HTTP_X_WEBAUTH_USER $authgw_user;" in texts["identity-fastcgi.conf"]
    assert "fastcgi_param REMOTE_USER $authgw_user;" in texts["identity-fastcgi.conf"]
    assert "auth_request_set $authgw_user $upstream_http_x_webauth_user;" in texts["protect.conf"]
    assert "$http_x_webauth_user$http_x_webauth_groups$http_x_mail" in texts["http.conf"]


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ({}, "127.0.0.1:8080"),
        ({"port": 9000}, "127.0.0.1:9000"),
        ({"host": "0.0.0.0", "port": 9000}, "127.0.0.1:9000"),
        ({"host": "::"}, "[::1]:8080"),
        ({"host": "::1"}, "[::1]:8080"),
        ({"host": "fd00::5"}, "[fd00::5]:8080"),
        ({"host": "10.0.0.7"}, "10.0.0.7:8080"),
        ({"host": "gateway.internal"}, "gateway.internal:8080"),
        ({"socket": "/run/a.sock", "trusted_proxies": ["unix"]}, "unix:/run/a.sock"),
        # Without `unix` among the trusted proxies the gateway would refuse checks over the socket.
        ({"socket": "/run/a.sock"}, "127.0.0.1:8080"),
    ],
)
def test_upstream_is_where_the_gateway_listens(server: dict[str, Any], address: str) -> None:
    assert f"    server {address} max_fails=0;\n" in files(server=server)["upstream.conf"]


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://auth.example.com/login", "^(?:/authenticate|/login|"),
        ("https://auth.example.com/sso/login", "^/sso(?:/authenticate|/login|"),
        ("https://auth.example.com/a.b/login", "^/a\\.b(?:/authenticate|/login|"),
        # A login page of the operator's own does not move the gateway's paths.
        ("https://auth.example.com/my-page", "^(?:/authenticate|/login|"),
    ],
)
def test_the_published_paths_are_below_the_login_page(url: str, location: str) -> None:
    text = files(login={"url": url})["gateway.conf"]
    assert f"location ~ {location}" in text


@pytest.mark.parametrize(
    ("login", "account"),
    [
        ({}, "/login/account"),
        ({"url": "https://auth.example.com/login"}, "/login/account"),
        ({"url": "https://auth.example.com/sso/login"}, "/sso/login/account"),
    ],
)
def test_the_root_of_a_login_host_leads_to_the_account_page(
    login: dict[str, str], account: str
) -> None:
    text = files(login=login)["login-host.conf"]
    assert f"return 302 $authgw_scheme://$authgw_authority{account};" in text


def test_several_login_pages_are_published() -> None:
    pages = [{"url": "https://a.test/x/login"}, {"url": "https://b.test/login"}]
    text = files(login={"domains": pages})["gateway.conf"]
    assert len(re.findall("^location ", text, re.MULTILINE)) == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"login": {"url": "https://auth.example.com/a;b/login"}},
        {"login": {"url": "https://auth.example.com/a{1}/login"}},
        {"login": {"url": 'https://auth.example.com/"/login'}},
        {"server": {"socket": "/run/a b.sock", "trusted_proxies": ["unix"]}},
        {"server": {"socket": "/run/a;}.sock", "trusted_proxies": ["unix"]}},
        {"server": {"socket": "relative.sock", "trusted_proxies": ["unix"]}},
    ],
)
def test_values_that_break_nginx_syntax_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(OperatorError, match="cannot be written into NGINX's configuration"):
        files(**settings)


def test_headers_about_the_original_request_are_cleared_or_set() -> None:
    cleared = re.findall(r'proxy_set_header (\S+) "";', files()["gateway.conf"])
    assert {name.lower() for name in TARGET_HEADERS} <= {name.lower() for name in cleared}
    check_headers = re.findall(r"proxy_set_header (\S+) ", files()["question.conf"])
    assert {name.lower() for name in TARGET_HEADERS} <= {name.lower() for name in check_headers}


def test_every_recipe_sets_or_clears_the_same_headers() -> None:
    names = {name.lower() for name in CLEARED}
    texts = files()
    for name, pattern in (
        ("identity.conf", r"proxy_set_header (\S+) "),
        ("identity-grpc.conf", r"grpc_set_header (\S+) "),
        ("identity-fastcgi.conf", r"fastcgi_param HTTP_(\S+) "),
        ("identity-uwsgi.conf", r"uwsgi_param HTTP_(\S+) "),
        ("identity-scgi.conf", r"scgi_param HTTP_(\S+) "),
    ):
        headers = [header.lower().replace("_", "-") for header in re.findall(pattern, texts[name])]
        assert names <= set(headers)
        assert len(headers) == len(set(headers)), name
        # They reach the app unchanged, because the check considered them.
        assert "destination" not in headers
        assert not [header for header in headers if "method-override" in header]


def test_write_lists_the_written_files(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("headers: {user: X-WEBAUTH-USER}\n")
    first = authgw_here(tmp_path, "nginx", "write", "etc/authgw")
    assert first.exit_code == 0
    assert "wrote etc/authgw/identity.conf\n" in first.output
    assert "nginx -t && nginx -s reload" in first.output
    assert {path.name for path in (tmp_path / "etc/authgw").iterdir()} == set(FILES)
    assert "X-WEBAUTH-USER" in (tmp_path / "etc/authgw/identity.conf").read_text()
    again = authgw_here(tmp_path, "nginx", "write", "etc/authgw")
    assert (again.exit_code, again.output) == (0, "etc/authgw is up to date.\n")


def test_write_does_not_replace_modified_files(tmp_path: Path) -> None:
    target = tmp_path / "authgw"
    target.mkdir()
    (target / "identity.conf").write_text("# mine\n")
    refused = authgw_here(tmp_path, "nginx", "write", "authgw")
    assert refused.exit_code == 1
    assert refused.output == (
        "Error: authgw contains other versions of identity.conf: nothing was written; "
        "use --force to replace them\n"
    )
    assert {path.name for path in target.iterdir()} == {"identity.conf"}
    assert (target / "identity.conf").read_text() == "# mine\n"
    forced = authgw_here(tmp_path, "nginx", "write", "authgw", "--force")
    assert forced.exit_code == 0
    assert (target / "identity.conf").read_text() == files()["identity.conf"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("server: {port: x}\n", "server.port"),
        ("login: {url: 'https://a.test/a;b/login'}\n", "login.url has the path /a;b/login"),
    ],
)
def test_write_reports_configuration_errors(tmp_path: Path, config: str, message: str) -> None:
    (tmp_path / "config.yml").write_text(config)
    refused = authgw_here(tmp_path, "nginx", "write", "authgw")
    assert refused.exit_code == 1
    assert message in refused.output
    assert "Traceback" not in refused.output
    assert not (tmp_path / "authgw").exists()


def test_write_to_an_invalid_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = authgw_here(tmp_path, "nginx", "write", "file/authgw")
    assert refused.exit_code == 1
    assert refused.output.count("\n") == 1
    assert "file" in refused.output


def test_nginx_repeats_a_response_no_longer_than_bounds_in_time_allow_for() -> None:
    """With cache.conf; sessions of identity providers end that much earlier."""
    assert re.findall(r"proxy_cache_valid (.*);", files()["protect.conf"]) == [
        f"200 {PROXY_CACHE_LIFETIME:.0f}s"
    ]
