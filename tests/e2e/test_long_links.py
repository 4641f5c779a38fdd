"""A long link survives the login: every buffer of the recipe is large enough for the gateway."""

import re
import time
from collections.abc import Iterator
from html import unescape
from urllib.parse import quote, urlencode, urlsplit

import pytest

from tests.support.nginx import NginxFront, running_site
from tests.support.nginx_versions import NGINXES
from tests.support.processes import ISSUED, HttpResponse, ask, prepare
from tests.support.users import PASSWORD

APP, AUTH = "app.test", "auth.test"
CONFIG = f"""\
login: {{url: "https://{AUTH}/login", redirect_hosts: [{APP}]}}
rules:
  - {{host: "{APP}", allow: authenticated}}
"""
SITE = """\
server {
    listen 4000;
    server_name app.test auth.test localhost;
    include authgw/protect.conf;
    include authgw/gateway.conf;
    location / { include authgw/identity.conf; proxy_pass http://sample; }
}
"""
ORIGIN = f"http://{APP}"
BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
LIMIT = 8192  # bytes of a link as sent


@pytest.fixture(scope="module", params=NGINXES)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NginxFront]:
    program = NGINXES[request.param]()
    folder = tmp_path_factory.mktemp("long")
    for site in running_site(folder, config=CONFIG, program=program, site=SITE):
        ISSUED.add(PASSWORD)
        words = ("user", "add", "alice", "--password-stdin")
        prepare(site.gateway.folder, *words, stdin=f"{PASSWORD}\n")
        for _ in range(200):
            # Before that, a login would count as a failed attempt.
            if "The users file was reloaded" in site.gateway.log:
                break
            time.sleep(0.05)
        yield site


def link(letter: str, size: int) -> str:
    """Return a path and query; the whole link has `size` bytes."""
    start = "/x?q="
    return start + letter * (size - len(ORIGIN) - len(start))


def browse(site: NginxFront, host: str, path: str, cookie: str = "") -> HttpResponse:
    sent = {"Host": host, **BROWSER, **({"Cookie": cookie} if cookie else {})}
    return ask(site.port, "GET", path, sent)


def log_in(site: NginxFront, location: str) -> tuple[str, str]:
    """Return the final URL of the login page, and the session cookie."""
    parts = urlsplit(location)
    page = browse(site, AUTH, f"{parts.path}?{parts.query}")
    assert page.status == 200
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.body.decode()))
    form = {name: unescape(value) for name, value in fields.items()}
    planted = page.headers["Set-Cookie"].partition(";")[0]
    answer = ask(
        site.port,
        "POST",
        "/login",
        {
            "Host": AUTH,
            "Cookie": planted,
            "Origin": f"https://{AUTH}",
            "Content-Type": "application/x-www-form-urlencoded",
            **BROWSER,
        },
        urlencode({**form, "username": "alice", "password": PASSWORD}).encode(),
    )
    assert answer.status in (302, 303), answer
    match = re.search(r"(__Host-authgw=[^;]+)", answer.headers["Set-Cookie"])
    assert match
    return answer.headers["Location"], match[1]


# `{` is sent unchanged and takes three bytes in a query; a letter takes a single byte.
@pytest.mark.parametrize(
    ("letter", "size"),
    [
        *((letter, size) for letter in ("x", "%2F") for size in (2000, 2700, 4096, LIMIT)),
        ("{", 2700),
        ("{", 4096),
    ],
)
def test_a_long_link_is_opened_after_the_login(site: NginxFront, letter: str, size: int) -> None:
    path = link(letter, size) if len(letter) == 1 else link("x", size - 3 * 600) + letter * 600
    assert len(ORIGIN + path) == size
    token = site.gateway.login(7)["access"]
    assert ask(site.port, "GET", path, _bearer(token)).status == 200
    sent = browse(site, APP, path)
    assert sent.status == 302, sent.body
    assert sent.headers["Location"] == f"https://{AUTH}/login?rd={quote(ORIGIN + path, safe='')}"
    back, _ = log_in(site, sent.headers["Location"])
    assert back == ORIGIN + path.replace("{", "%7B")


def test_a_link_that_is_too_long_still_leads_to_the_login(site: NginxFront) -> None:
    path = link("x", 12000)
    token = site.gateway.login(7)["access"]
    assert ask(site.port, "GET", path, _bearer(token)).status == 200
    sent = browse(site, APP, path)
    assert sent.status == 302
    back, cookie = log_in(site, sent.headers["Location"])
    assert back.startswith("/login/account")
    assert browse(site, AUTH, "/login/account", cookie).status == 200


def _bearer(token: str) -> dict[str, str]:
    return {"Host": APP, "Authorization": f"Bearer {token}"}


def test_no_response_was_truncated(site: NginxFront) -> None:
    assert "too big header" not in site.log
