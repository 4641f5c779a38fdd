"""`authgw doctor --nginx` finds nothing in the shipped sites and their documented variants."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from authgw.config.schema import Settings
from authgw.recipes.nginx import render_files
from tests.support.doctor import CLEAN, copy_site, write_dump
from tests.support.nginx_versions import NGINXES
from tests.support.processes import ROOT, authgw_here
from tests.support.redis_sets import make_certificates

_HTTP = "    include authgw/http.conf;\n"
_PASS = "        include authgw/identity.conf;\n"


@dataclass(frozen=True)
class Shipped:
    """A variant of the shipped site: changes to its files, and the configuration."""

    changes: tuple[tuple[str, str, str], ...] = ()
    config: dict[str, object] = field(default_factory=dict)
    nginx: str = "system"


def by_protocol(kind: str) -> Shipped:
    """Return the shipped site with its app behind another protocol.

    The recipe's file follows the parameters that distributions set.
    """
    params = f"{kind}_param REQUEST_METHOD $request_method; {kind}_param REQUEST_URI $request_uri;"
    params += f" {kind}_param HTTPS $https if_not_empty; {kind}_param SERVER_NAME $server_name;"
    preceding = "" if kind == "grpc" else params
    return Shipped(
        (
            (
                "site.conf",
                _PASS,
                f"        {preceding}\n        include authgw/identity-{kind}.conf;\n",
            ),
            ("site.conf", "proxy_pass http://sample;", f"{kind}_pass 127.0.0.1:9;"),
        )
    )


# As nginx/start-compose writes them.
_SERVERS = "server 172.30.80.64:8080 max_fails=0; server 172.30.80.65:8080 max_fails=0;"
_SOCKET = {"socket": "/run/authgw/authgw.sock", "trusted_proxies": ["unix"]}
SHIPPED = {
    "unchanged": Shipped(),
    "on the newest NGINX": Shipped(nginx="wheel"),
    "with a login page": Shipped(config={"login": {"url": "http://localhost:4000/login"}}),
    "with cache.conf": Shipped(
        (("nginx.conf", _HTTP, f"{_HTTP}    include authgw/cache.conf;\n"),)
    ),
    "on a socket": Shipped(
        (("nginx.conf", "authgw/upstream.conf", "authgw/upstream-socket.conf"),),
        {"server": _SOCKET},
    ),
    "in compose": Shipped(
        (
            ("nginx.conf", "authgw/upstream.conf", "authgw/upstream-compose.conf"),
            ("nginx.conf", "include sample.conf", "include sample-compose.conf"),
            ("authgw/upstream-compose.conf", "include /tmp/authgw.servers;", _SERVERS),
            ("sample-compose.conf", "include /tmp/sample.servers;", _SERVERS),
        ),
        {"server": {"host": "0.0.0.0"}},
        "wheel",
    ),
    "behind a terminator": Shipped(
        (
            (
                "nginx.conf",
                _HTTP,
                f"{_HTTP}    set_real_ip_from 10.0.0.5;\n    include authgw/front.conf;\n",
            ),
        )
    ),
    "with other headers": Shipped(
        config={"headers": {"user": "X-WEBAUTH-USER", "groups": "X-Groups"}}
    ),
    "on another port": Shipped(config={"server": {"port": 9000}}),
    "by FastCGI": by_protocol("fastcgi"),
    "by uwsgi": by_protocol("uwsgi"),
    "by SCGI": by_protocol("scgi"),
    "by gRPC": by_protocol("grpc"),
    "with additional directives": Shipped(
        (
            (
                "site.conf",
                "        proxy_pass http://sample;\n",
                "        proxy_set_header X-Grafana-Org 1;\n"
                "        proxy_set_header X-Webauth-User $authgw_user;\n"
                "        proxy_set_header X-Forwarded-Prefix /app;\n"
                '        proxy_set_header Authorization "Basic YTpi";\n'
                "        proxy_read_timeout 1h; proxy_buffering off; client_max_body_size 0;\n"
                "        add_header Strict-Transport-Security max-age=31536000 always;\n"
                "        if ($http_cookie ~ beta) { set $beta 1; }\n"
                "        set $app sample; proxy_pass http://$app;\n",
            ),
            (
                "site.conf",
                "    location / {\n",
                "    location /static/ { root /srv; try_files $uri =404; expires 1h; }\n"
                "    location /files/ { alias /srv/files/; autoindex on; }\n"
                "    location /public/ { auth_request off; return 204; }\n"
                "    error_page 404 = @missing;\n"
                "    error_page 401 = @authgw_401;\n    error_page 403 = @authgw_403;\n"
                "    error_page 500 = @authgw_500;\n"
                "    location @missing { auth_request off; return 404; }\n    location / {\n",
            ),
            (
                "nginx.conf",
                _HTTP,
                f"{_HTTP}    map $http_cookie $language {{ ~lang=de de; default en; }}\n"
                "    set_real_ip_from 10.0.0.0/8;\n"
                "    limit_req_zone $http_cookie zone=all:1m rate=9r/s;\n"
                "    server { listen 4001; return 301 https://$host$request_uri; }\n",
            ),
        )
    ),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_variant_is_clean(tmp_path: Path, name: str) -> None:
    shipped = SHIPPED[name]
    conf = copy_site(tmp_path)
    settings = Settings.model_validate(shipped.config)
    for file, text in render_files(settings).items():
        (conf / "authgw" / file).write_text(text)
    for file, old, new in shipped.changes:
        text = (conf / file).read_text()
        assert old in text
        (conf / file).write_text(text.replace(old, new, 1))
    (tmp_path / "config.yml").write_text(settings.model_dump_json(exclude_defaults=True))
    dump = write_dump(conf, NGINXES[shipped.nginx]())
    result = authgw_here(tmp_path, "doctor", "--nginx", str(dump))
    assert result.output.startswith(CLEAN), result.output
    assert result.exit_code == 0


_PROVIDER = """\
  self_service: [link]
  providers:
    company:
      {issuer: 'https://id.example.com', client_id: a, client_secret_file: kc, accept: linked}
"""


@pytest.mark.parametrize("providers", ["", _PROVIDER])
def test_single_sign_on_example_is_clean(tmp_path: Path, providers: str) -> None:
    """Also with linked accounts, whose login host has no app, and with the paths of providers."""
    conf = copy_site(tmp_path)
    shutil.copy(ROOT / "examples" / "sso" / "site.conf", conf / "site.conf")
    config = (ROOT / "examples" / "sso" / "config.yml").read_text()
    assert config.startswith("login:\n")
    (tmp_path / "config.yml").write_text(config.replace("login:\n", f"login:\n{providers}", 1))
    _, certificate, key = make_certificates(tmp_path)
    shutil.copy(certificate, conf / "example.com.pem")
    shutil.copy(key, conf / "example.com.key")
    result = authgw_here(tmp_path, "doctor", "--nginx", str(write_dump(conf)))
    assert result.output.startswith(CLEAN), result.output
    text = (conf / "site.conf").read_text()
    (conf / "site.conf").write_text(text.replace("    include authgw/gateway.conf;\n", ""))
    result = authgw_here(tmp_path, "doctor", "--nginx", str(write_dump(conf)))
    assert (
        "problem: this server is that of login.url https://auth.example.com/login" in result.output
    )


def test_http3_requires_the_current_recipe(tmp_path: Path) -> None:
    """The dump is edited, because Debian's NGINX has no HTTP/3."""
    conf = copy_site(tmp_path)
    dump = write_dump(conf)
    quic = dump.read_text().replace("    listen 4000;\n", "    listen 4000 quic;\n")
    dump.write_text(quic)
    assert authgw_here(tmp_path, "doctor", "--nginx", str(dump)).exit_code == 0
    older = quic.replace("$authgw_scheme://$authgw_authority", "$scheme://$http_host")
    dump.write_text(older.replace("Host $authgw_authority", "Host $http_host"))
    result = authgw_here(tmp_path, "doctor", "--nginx", str(dump))
    assert result.exit_code == 1
    assert "problem: proxy_set_header Host $http_host: over HTTP/3" in result.output
    assert "X-Original-URL $scheme://$http_host$request_uri: over HTTP/3" in result.output


def test_configured_header_that_the_files_lack(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("headers: {user: X-WEBAUTH-USER}\n")
    result = authgw_here(tmp_path, "doctor", "--nginx", str(write_dump(copy_site(tmp_path))))
    assert result.exit_code == 1
    assert (
        "but the configuration names this header X-WEBAUTH-USER: the app gets no identity. "
        "Correct headers.user in the configuration, or run `authgw nginx write DIR`"
    ) in result.output
    assert (
        "problem: auth_request_set $authgw_user $upstream_http_remote_user is taken from a header "
        "that the gateway does not send"
    ) in result.output


def test_configuration_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "other.yml").write_text("server: {port: 9000}\n")
    dump = str(write_dump(copy_site(tmp_path)))
    result = authgw_here(tmp_path, "doctor", "--nginx", dump, "--config", "other.yml")
    assert "the configuration has server.port 9000" in result.output
