"""Modules that a running replica has loaded: what its configuration does not use is not among them.

Each module takes memory in each replica until its end.
"""

import re
from pathlib import Path

from tests.support.processes import GatewayProcess, make_gateway, prepare

# Other commands, and tools of other processes.
NEVER = (
    r"authgw\.(cli\.(?!errors$|options$|serve$)|recipes|doctor\.(?!findings$))",
    r"(crossplane|unittest|doctest|pdb|xml)(\.|$)",
)
PAGES = r"(jinja2|markupsafe)(\.|$)"
REDIS = r"(redis|hiredis)(\.|$)|authgw\.storage\.redis\.(?!kind$|url$)"
SQLITE = r"_?sqlite3(\.|$)|authgw\.storage\.sqlite\.(?!kind$)"
# Logins at identity providers, and the client that calls them.
PROVIDERS = (
    r"authgw\.(services\.providers\.|server\.(outgoing|providers)$|web\.provider_login$)|"
    r"authgw\.core\.(sealing|providers\.(claims|admission|id_token|jwks|metadata))$"
)
LOGIN_PAGE = {
    "AUTHGW_LOGIN__URL": "https://auth.example.com/login",
    "AUTHGW_LOGIN__COOKIE_DOMAIN": "example.com",
}


def started(folder: Path, **environ: str) -> GatewayProcess:
    """Start a gateway that writes a line to its log for each import (-X importtime)."""
    gateway = make_gateway(folder, PYTHONPROFILEIMPORTTIME="1", **environ)
    # Coverage loads modules of its own.
    gateway.covered = False
    prepare(folder, "key", "init")
    gateway.start()
    gateway.wait_until_ready()
    return gateway


def loaded(gateway: GatewayProcess, *patterns: str) -> list[str]:
    """Return the loaded modules that a pattern matches at the beginning."""
    modules = re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", gateway.log, re.MULTILINE)
    assert "authgw.app" in modules
    return sorted(name for name in modules if any(re.match(text, name) for text in patterns))


def test_a_replica_on_a_file_needs_neither_redis_nor_pages(tmp_path: Path) -> None:
    gateway = started(tmp_path / "gateway")
    try:
        assert gateway.login()["access"]
        assert loaded(gateway, *NEVER, PAGES, REDIS, PROVIDERS) == []
        assert loaded(gateway, SQLITE)
    finally:
        gateway.kill()


def test_a_replica_on_redis_does_not_need_sqlite(tmp_path: Path, redis_url: str) -> None:
    gateway = started(tmp_path / "gateway", AUTHGW_CACHE__URL=redis_url)
    try:
        assert gateway.login()["access"]
        assert loaded(gateway, *NEVER, PAGES, SQLITE) == []
        assert loaded(gateway, REDIS)
    finally:
        gateway.kill()


def test_with_a_login_page_no_visitor_waits_for_the_templates(tmp_path: Path) -> None:
    gateway = started(tmp_path / "gateway", **LOGIN_PAGE)
    try:
        assert loaded(gateway, PAGES)
        assert loaded(gateway, *NEVER, REDIS, PROVIDERS) == []
    finally:
        gateway.kill()
