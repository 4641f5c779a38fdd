"""The how-to guides: each configuration is loaded, each command is run."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.guides import (
    GUIDES,
    HOW_TO,
    RUN,
    GuideSite,
    blocks,
    only,
    proxy_manager,
    write_secrets,
)
from tests.support.processes import authgw_here, prepare

APPS = ["apis", "gitea", "grafana", "home-assistant", "jellyfin", "nextcloud", "webdav-and-git"]
# Commands of the guides that need a terminal, root or another program are not run.
NOT_RUN = {"console", "text"}


def guides_with(title: str) -> list[str]:
    return [guide for guide in GUIDES if blocks(guide, title=title)]


def check_ini(text: str) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    assert parser.sections()


def check_yaml(text: str) -> None:
    assert yaml.safe_load(text)


def check_json(text: str) -> None:
    assert json.loads(text)


def check_php(text: str) -> None:
    assert text.startswith("<?php\n$CONFIG = [\n")
    assert text.endswith("];\n")
    if php := shutil.which("php"):
        subprocess.run([php, "-l"], input=text, text=True, check=True, capture_output=True)


def check_python(text: str) -> None:
    compile(text, "client.py", "exec")


SYNTAX: dict[str, Callable[[str], None]] = {
    "ini": check_ini,
    "json": check_json,
    "php": check_php,
    "python": check_python,
    "yaml": check_yaml,
}
# Blocks of these languages are loaded by the tests of their titles below.
LOADED = {
    ("nginx", "site.conf"),
    ("nginx", "http_top.conf"),
    ("nginx", "Advanced of auth.example.com"),
    ("nginx", "Advanced of app.example.com"),
    ("nginx", "site-confs/authgw.conf"),
    ("nginx", "proxy-confs/auth.subdomain.conf"),
    ("nginx", "proxy-confs/app.subdomain.conf"),
    ("nginx", "server block"),
    ("caddyfile", "Caddyfile"),
}


@pytest.mark.parametrize("guide", GUIDES)
def test_every_block_is_checked(guide: str) -> None:
    for block in blocks(guide):
        if block.language in SYNTAX:
            SYNTAX[block.language](block.text)
        elif block.language != "sh":
            loaded = block.language in NOT_RUN or (block.language, block.title) in LOADED
            assert loaded, (guide, block)


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_has_its_parts(guide: str) -> None:
    text = (HOW_TO / f"{guide}.md").read_text()
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert text.startswith("# ")
    assert "Troubleshooting" in sections
    assert blocks(guide, "yaml", "config.yml")


@pytest.mark.parametrize("guide", GUIDES)
def test_commands_are_run_or_explanations(guide: str) -> None:
    if guide not in RUN:
        for block in blocks(guide, "sh"):
            lines = [line for line in block.text.splitlines() if line != "authgw config check"]
            assert len(block.explanations) == len(lines), (guide, block)


def test_rules_in_the_wrong_order_are_reported(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(f"rules:\n{only('rules', 'wrong order')}")
    result = authgw_here(tmp_path, "config", "check")
    assert result.exit_code == 1
    assert "config.yml:3" in result.stderr


@pytest.mark.parametrize(
    ("domain", "status"),
    [
        ("example.com", 0),
        ("home.example.com", 0),
        ("home.arpa", 1),
        ("house.home.arpa", 0),
        ("lan", 1),
        ("home.lan", 0),
        ("duckdns.org", 1),
        ("name.duckdns.org", 0),
    ],
)
def test_domains_of_cookies_at_home(tmp_path: Path, domain: str, status: int) -> None:
    assert f"`{domain}`" in (HOW_TO / "tls-at-home.md").read_text() or domain == "duckdns.org"
    text = f"login: {{url: https://auth.{domain}/login, cookie_domain: {domain}}}\n"
    (tmp_path / "config.yml").write_text(text)
    assert authgw_here(tmp_path, "config", "check").exit_code == status


def configurations() -> list[tuple[str, int]]:
    return [
        (guide, number)
        for guide in GUIDES
        for number in range(len(blocks(guide, "yaml", "config.yml")))
    ]


@pytest.mark.parametrize(("guide", "number"), configurations())
def test_the_configuration_is_valid(tmp_path: Path, guide: str, number: int) -> None:
    text = blocks(guide, "yaml", "config.yml")[number].text
    (tmp_path / "config.yml").write_text(text)
    write_secrets(tmp_path, text)
    result = authgw_here(tmp_path, "config", "check")
    assert (result.exit_code, result.stderr) == (0, ""), result.output


@pytest.mark.parametrize("guide", GUIDES)
def test_the_rules_decide_as_the_guide_claims(tmp_path: Path, guide: str) -> None:
    """Each explanation is about the configuration before it."""
    statuses = {"allow": 0, "deny": 1, "login": 3}
    count = 0
    for block in blocks(guide):
        if block.title in ("config.yml", "claims.json"):
            (tmp_path / block.title).write_text(block.text)
        if block.language != "sh":
            continue
        for words, verdict in block.explanations:
            result = authgw_here(tmp_path, *words[1:])
            assert result.exit_code == statuses[verdict], (words, result.output)
            count += 1
    assert count or guide == "backends"


@pytest.mark.parametrize("guide", guides_with("docker-compose.yml"))
def test_compose_files_are_valid(tmp_path: Path, guide: str) -> None:
    file = tmp_path / "docker-compose.yml"
    file.write_text(only(guide, "docker-compose.yml"))
    check = Path(sys.executable).parent / "check-jsonschema"
    words = [str(check), "--builtin-schema", "vendor.compose-spec", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    # The configuration trusts the proxy's address, and the recipe is written with the gateway's.
    services = yaml.safe_load(file.read_text())["services"]
    addresses = {
        name: service["networks"]["proxy"]["ipv4_address"] for name, service in services.items()
    }
    gateway = addresses.pop("authgw")
    config = yaml.safe_load(only(guide, "config.yml"))
    assert config["server"]["trusted_proxies"] == list(addresses.values())
    command = f"-e AUTHGW_SERVER__HOST={gateway} authgw authgw nginx write /recipe\n"
    assert command in (HOW_TO / f"{guide}.md").read_text()
    (tmp_path / "config.yml").write_text(only(guide, "config.yml"))
    written = tmp_path / "recipe"
    prepare(tmp_path, "nginx", "write", str(written), AUTHGW_SERVER__HOST=gateway)
    assert f"server {gateway}:8080 " in (written / "upstream.conf").read_text()


def test_the_tunnel_ends_with_a_rule_for_all_other_hosts() -> None:
    ingress = yaml.safe_load(only("cloudflare-tunnel", "cloudflared.yml"))["ingress"]
    assert [rule["hostname"] for rule in ingress[:-1]] == ["auth.example.com", "app.example.com"]
    assert ingress[-1] == {"service": "http_status:404"}


def caddyfiles() -> list[tuple[str, str, str]]:
    """Return each Caddyfile with its guide and the configuration for its hosts."""
    found = []
    for guide in guides_with("Caddyfile"):
        text = only(guide, "Caddyfile")
        configs = [block.text for block in blocks(guide, "yaml", "config.yml")]
        hosts = re.findall(r"auth\.[a-z.]+", text)
        found.append((guide, text, next(config for config in configs if hosts[0] in config)))
    return found


@pytest.mark.parametrize(("guide", "text", "config"), caddyfiles())
def test_caddyfiles_are_valid(tmp_path: Path, guide: str, text: str, config: str) -> None:
    program = shutil.which("caddy")
    if program is None:
        pytest.fail("caddy is missing: apt-get install caddy")
    (tmp_path / "config.yml").write_text(config)
    prepare(tmp_path, "caddy", "write", str(tmp_path))
    (tmp_path / "Caddyfile").write_text(text)
    words = [program, "validate", "--config", "Caddyfile"]
    environ = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        words, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def doctor(site: GuideSite) -> None:
    """Assert that NGINX accepts the site, and that it does what the recipe does."""
    (site.folder / "dump").write_text(site.dump())
    result = authgw_here(site.folder, "doctor", "--nginx", "dump")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("guide", APPS)
def test_sites_follow_the_recipe(tmp_path: Path, guide: str) -> None:
    doctor(GuideSite.of_app(tmp_path, guide))


def test_the_site_at_home_follows_the_recipe(tmp_path: Path) -> None:
    config = blocks("tls-at-home", "yaml", "config.yml")[0].text
    site = re.sub(r"^ssl_certificate.*\n", "", only("tls-at-home", "site.conf"), flags=re.MULTILINE)
    doctor(GuideSite.write(tmp_path, config, site))


def test_the_site_behind_a_tunnel_follows_the_recipe(tmp_path: Path) -> None:
    guide = "cloudflare-tunnel"
    doctor(GuideSite.write(tmp_path, only(guide, "config.yml"), only(guide, "site.conf")))


def test_fields_of_nginx_proxy_manager_follow_the_recipe(tmp_path: Path) -> None:
    doctor(proxy_manager(tmp_path, only("nginx-proxy-manager", "config.yml")))


def test_a_tunnel_leads_to_nginx_proxy_manager(tmp_path: Path) -> None:
    site = proxy_manager(tmp_path, only("nginx-proxy-manager", "config.yml"))
    file = tmp_path / "nginx.conf"
    lines = only("cloudflare-tunnel", "server block")
    text = file.read_text()
    assert text.count("set_real_ip_from 192.0.2.1;\n") == 2
    file.write_text(text.replace("set_real_ip_from 192.0.2.1;\n", lines))
    assert "real_ip_header CF-Connecting-IP;" in site.dump()


def test_files_of_swag_follow_the_recipe(tmp_path: Path) -> None:
    titles = ("auth.subdomain.conf", "app.subdomain.conf")
    servers = "".join(only("swag", f"proxy-confs/{title}") for title in titles)
    servers = servers.replace("/config/nginx/", f"{tmp_path}/")
    (tmp_path / "ssl.conf").write_text("ssl_session_timeout 1d;\n")
    (tmp_path / "resolver.conf").write_text("resolver 127.0.0.1 valid=30s;\n")
    first = only("swag", "site-confs/authgw.conf")
    doctor(GuideSite.write(tmp_path, only("swag", "config.yml"), servers, first=first))
