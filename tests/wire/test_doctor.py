"""`authgw doctor --nginx` on what a real nginx dumps: the shipped site, and broken ones."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.wire.conftest import ROOT, authgw

# Which file is broken, what is replaced by what, and what must be said; "" is the site itself.
BROKEN = {
    "no auth_request": (
        "site.conf",
        "server {\n    listen 4000;\n",
        "server {\n    listen 4000;\n    server_name b;\n    location / {\n"
        "        include authgw/identity.conf;\n        proxy_pass http://sample;\n    }\n}\n"
        "server {\n    listen 4000;\n",
        "passes requests on without asking the gateway. In its server add",
    ),
    "no identity": (
        "site.conf",
        "include authgw/identity.conf;",
        "",
        "tells no identity: a client's own Remote-User would arrive.",
    ),
    "own proxy_set_header": (
        "site.conf",
        "location / {\n        include authgw/identity.conf;",
        "include authgw/identity.conf;\n    location / {\n        proxy_set_header X-A b;",
        "site.conf:{line}: hole: location / has a proxy_set_header of its own",
    ),
    "own error_page": (
        "site.conf",
        "        proxy_pass http://sample;",
        "        error_page 404 /none;\n        proxy_pass http://sample;",
        "fault: location / has an error_page of its own",
    ),
    "satisfy any": (
        "site.conf",
        "        proxy_pass http://sample;",
        "        satisfy any;\n        allow 127.0.0.0/8;\n        proxy_pass http://sample;",
        "hole: satisfy any lets in whom either",
    ),
    "error_page to the app": (
        "site.conf",
        "    location / {\n",
        "    location @anybody {\n        auth_request off;\n"
        "        include authgw/identity.conf;\n        proxy_pass http://sample;\n    }\n"
        "    location / {\n        error_page 401 403 = @anybody;\n",
        "leads whom the gateway refuses to @anybody",
    ),
    "no X-Forwarded-For": (
        "authgw/question.conf",
        "proxy_set_header X-Forwarded-For $remote_addr;",
        "",
        "lets a client say which address is its own",
    ),
    "a decoded path": (
        "site.conf",
        "proxy_pass http://sample;",
        "proxy_pass http://sample$uri$is_args$args;",
        "sends the path decoded",
    ),
    "an identity of the client's": (
        "authgw/identity.conf",
        "proxy_set_header Remote-User $authgw_user;",
        "proxy_set_header Remote-User $remote_user;",
        "sends Remote-User $remote_user, which no auth_request_set takes",
    ),
    "an identity that is not set there": (
        "site.conf",
        "        proxy_pass http://sample;",
        "        auth_request_set $mine $upstream_http_remote_user;\n"
        "        proxy_pass http://sample;",
        "has an auth_request_set of its own, which discards those of protect.conf",
    ),
    "any upgrade": (
        "authgw/identity.conf",
        "proxy_set_header Upgrade $authgw_upgrade;",
        "proxy_set_header Upgrade $http_upgrade;",
        "passes any upgrade on",
    ),
    "a public app by FastCGI": (
        "site.conf",
        "    location / {\n",
        "    location /php {\n        auth_request off;\n        fastcgi_pass 127.0.0.1:9;\n    }\n"
        "    location / {\n",
        "hands a client's own Remote-User on by fastcgi_pass",
    ),
    "underscores": (
        "site.conf",
        "    client_max_body_size 100m;",
        "    underscores_in_headers on;",
        "other spellings of our headers reach apps",
    ),
    "return": (
        "site.conf",
        "        proxy_pass http://sample;",
        "        return 200 hello;",
        "return 200 hello answers before the gateway is asked",
    ),
    "return in if": (
        "site.conf",
        "        proxy_pass http://sample;",
        "        if ($arg_x) { return 204; }\n        proxy_pass http://sample;",
        "return 204 answers before the gateway is asked",
    ),
    "rewrite that redirects": (
        "site.conf",
        "        proxy_pass http://sample;",
        "        rewrite ^/old /new permanent;\n        proxy_pass http://sample;",
        "rewrite ^/old /new permanent answers before the gateway is asked",
    ),
    "no X-Original-URL": (
        "authgw/question.conf",
        "proxy_set_header X-Original-URL $scheme://$http_host$request_uri;",
        "",
        "add to it: proxy_set_header x-original-url $scheme://$http_host$request_uri;",
    ),
    "X-Original-Host of the client": (
        "authgw/question.conf",
        "proxy_set_header X-Original-Host $host;",
        "proxy_set_header X-Original-Host $http_host;",
        "does not send X-Original-Host as the gateway needs it",
    ),
    "no X-Original-Method": (
        "authgw/question.conf",
        "proxy_set_header X-Original-Method $request_method;",
        "",
        "proxy_set_header X-Original-Method $request_method;",
    ),
    "URI part": (
        "site.conf",
        "proxy_pass http://sample;",
        "proxy_pass http://sample/;",
        "proxy_pass http://sample/ has a URI part",
    ),
    "asked from outside": (
        "authgw/protect.conf",
        "internal;\n    proxy_pass",
        "proxy_pass",
        "internal;",
    ),
    "connections not kept": (
        "authgw/question.conf",
        "proxy_http_version 1.1;",
        "",
        "fault: location /_authgw does not keep its connections",
    ),
    "upstream without keepalive": (
        "authgw/upstream.conf",
        "    keepalive 128;\n    keepalive_requests 100000;\n",
        "",
        "fault: upstream authgw keeps no connections. Add to it: keepalive 128;",
    ),
    "public without identity": (
        "site.conf",
        "    location / {",
        "    location /public/ { auth_request off; proxy_pass http://sample; }\n    location / {",
        "location /public/ tells no identity",
    ),
}
FAULTS = {
    "own error_page",
    "connections not kept",
    "upstream without keepalive",
    "an identity that is not set there",
}


def dumped(folder: Path) -> Path:
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        pytest.fail("nginx is missing: apt-get install nginx")
    words = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr", "-T"]
    told = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
    assert told.returncode == 0, told.stderr
    (folder / "dump").write_text(told.stdout)
    return folder / "dump"


def site(folder: Path) -> Path:
    shutil.copytree(ROOT / "nginx", folder / "conf")
    return folder / "conf"


def test_the_shipped_site_is_clean(tmp_path: Path) -> None:
    told = authgw(tmp_path, "doctor", "--nginx", str(dumped(site(tmp_path))))
    assert told.stdout.startswith("Every location that proxies asks the gateway")
    assert (told.returncode, told.stderr) == (0, "")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_site_is_found(tmp_path: Path, name: str) -> None:
    file, old, new, said = BROKEN[name]
    conf = site(tmp_path)
    text = (conf / file).read_text()
    assert old in text
    (conf / file).write_text(text.replace(old, new, 1))
    told = authgw(tmp_path, "doctor", "--nginx", str(dumped(conf)))
    line = (conf / file).read_text().partition("proxy_set_header X-A")[0].count("\n") + 1
    assert said.replace("{line}", str(line)).lower() in told.stdout.lower()
    assert len(told.stdout.splitlines()) == 1, told.stdout
    assert told.returncode == (0 if name in FAULTS else 1)


@pytest.mark.parametrize("text", ["", "http {", "# configuration file /a/nginx.conf:\nhttp {\n"])
def test_what_is_no_dump_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "dump").write_text(text)
    told = authgw(tmp_path, "doctor", "--nginx", "dump")
    assert told.returncode == 1
    assert told.stderr.startswith("Error: dump: ")
    assert "Traceback" not in told.stderr
