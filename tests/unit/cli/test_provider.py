"""`authgw provider check` and `authgw rules explain --claims`, with a provider on loopback."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from tests.support.certificate import write_certificate
from tests.support.processes import authgw_here, free_port

JWK = jwt.algorithms.ECAlgorithm.to_jwk(
    generate_private_key(SECP256R1()).public_key(), as_dict=True
)
CONFIG = """
login:
  url: https://auth.example.com/login
  providers:
    company:
      issuer: {issuer}
      client_id: authgw
      client_secret_file: secrets/company
      accept: {{groups: [staff]}}
      groups: {{map: {{idp-admins: admins}}, prefix: "company:"}}
      {more}
rules:
  - {{host: admin.example.com, allow: "group:admins"}}
  - {{host: app.example.com, allow: "group:company:staff"}}
"""
CLAIMS = {"sub": "7f3c", "groups": ["staff"]}


class LoopbackProvider(ThreadingHTTPServer):
    """A provider that answers every token request by `error`."""

    error = "invalid_grant"
    issuer = ""

    def documents(self) -> dict[str, Any]:
        metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        return {"/.well-known/openid-configuration": metadata, "/keys": {"keys": [JWK]}}


class LoopbackHandler(BaseHTTPRequestHandler):
    server: LoopbackProvider

    def do_GET(self) -> None:
        self._send(200, self.server.documents().get(self.path))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(400, {"error": self.server.error})

    def _send(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status if value else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(tls: tuple[Path, Path] | None = None) -> Iterator[LoopbackProvider]:
    server = LoopbackProvider(("127.0.0.1", 0), LoopbackHandler)
    server.issuer = f"{'https' if tls else 'http'}://localhost:{server.server_port}"
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    configure(tmp_path, "https://id.example.com")
    return tmp_path


def configure(folder: Path, issuer: str, more: str = "") -> None:
    (folder / "config.yml").write_text(CONFIG.format(issuer=issuer, more=more))
    secret = folder / "secrets" / "company"
    secret.parent.mkdir(exist_ok=True)
    secret.write_text("a secret of the client\n")
    secret.chmod(0o600)
    (folder / "claims.json").write_text(json.dumps(CLAIMS))


def grades(folder: Path, *words: str) -> dict[str, str]:
    result = authgw_here(folder, "provider", "check", "company", "--json", *words)
    rows = json.loads(result.stdout)
    assert {tuple(row) for row in rows} == {("severity", "part", "message")}
    assert result.exit_code == int(any(row["severity"] == "problem" for row in rows))
    return {row["part"]: row["severity"] for row in rows}


def test_a_provider_in_order(folder: Path) -> None:
    with serving() as provider:
        configure(folder, provider.issuer)
        assert grades(folder) == {
            "discovery": "ok",
            "clock": "ok",
            "PKCE": "ok",
            "keys": "ok",
            "back-channel logout": "ok",
            "client": "ok",
            "redirect address": "ok",
        }
        text = authgw_here(folder, "doctor").stdout
    assert "ok       provider company: reachable, with usable keys" in text


def test_a_wrong_secret(folder: Path) -> None:
    with serving() as provider:
        provider.error = "invalid_client"
        configure(folder, provider.issuer)
        result = authgw_here(folder, "provider", "check", "company")
    assert result.exit_code == 1
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("problem")]
    assert "login.providers.company.client_secret_file" in line
    assert "a secret of the client" not in result.output


def test_a_provider_that_is_down(folder: Path) -> None:
    configure(folder, f"http://localhost:{free_port()}")
    result = authgw_here(folder, "provider", "check", "company")
    assert result.exit_code == 1
    assert "problem  discovery: " in result.stdout
    assert "refused the connection (login.providers.company.issuer)" in result.stdout
    assert "register https://auth.example.com/login/oidc/company/callback" in result.stdout
    result = authgw_here(folder, "doctor")
    assert "problem  provider company: discovery: " in result.stdout


def test_an_unknown_certificate_names_ca_file(folder: Path) -> None:
    tls = write_certificate(folder, "localhost")
    with serving(tls) as provider:
        configure(folder, provider.issuer)
        result = authgw_here(folder, "provider", "check", "company")
        assert "login.providers.company.ca_file" in result.stdout
        configure(folder, provider.issuer, "ca_file: tls.pem")
        assert grades(folder)["discovery"] == "ok"


def test_a_missing_secret_is_a_problem_of_the_client(folder: Path) -> None:
    (folder / "secrets" / "company").unlink()
    result = authgw_here(folder, "provider", "check", "company")
    assert result.exit_code == 1
    assert result.stdout.startswith("problem  client: login.providers.company.client_secret_file:")


def test_claims_need_neither_secret_nor_network(folder: Path) -> None:
    (folder / "secrets" / "company").unlink()
    assert grades(folder, "--claims", "claims.json")["login"] == "ok"
    (folder / "claims.json").write_text(json.dumps(CLAIMS | {"groups": []}))
    assert grades(folder, "--claims", "claims.json")["login"] == "problem"
    (folder / "claims.json").write_text(json.dumps(CLAIMS | {"groups": 7}))
    assert grades(folder, "--claims", "claims.json") == {"login": "problem"}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("provider", "check", "compny"), "login.providers has no compny: did you mean company?"),
        (("provider", "check", "x"), "login.providers has no x: write company"),
    ],
)
def test_an_unknown_provider_is_named(folder: Path, words: tuple[str, ...], text: str) -> None:
    result = authgw_here(folder, *words)
    assert (result.exit_code, text in result.stderr) == (1, True)


def test_a_configuration_without_providers(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("login: {url: https://auth.example.com/login}\n")
    result = authgw_here(tmp_path, "provider", "check", "company")
    assert "add login.providers" in result.stderr


@pytest.mark.parametrize("words", [("check", "company"), ("check", "company", "--json")])
def test_a_missing_file_of_claims_is_named(folder: Path, words: tuple[str, ...]) -> None:
    result = authgw_here(folder, "provider", *words, "--claims", "missing.json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "missing.json does not exist" in result.stderr


def explained(folder: Path, groups: list[str], host: str) -> int:
    (folder / "claims.json").write_text(json.dumps(CLAIMS | {"groups": groups}))
    words = ("--provider", "company", "--claims", "claims.json", "GET", f"https://{host}/")
    return authgw_here(folder, "rules", "explain", *words).exit_code


@pytest.mark.parametrize(
    ("groups", "host", "status"),
    [
        (["staff"], "app.example.com", 0),
        (["staff"], "admin.example.com", 1),
        (["staff", "idp-admins"], "admin.example.com", 0),
        (["staff", "admins"], "admin.example.com", 1),
        (["idp-admins"], "admin.example.com", 1),
    ],
)
def test_rules_decide_about_the_account(
    folder: Path, groups: list[str], host: str, status: int
) -> None:
    assert explained(folder, groups, host) == status


def test_the_headers_are_those_of_the_account(folder: Path) -> None:
    claims = CLAIMS | {"email": "a@example.com", "email_verified": True, "name": "Alice"}
    (folder / "claims.json").write_text(json.dumps(claims))
    words = ("--provider", "company", "--claims", "claims.json", "--json")
    result = authgw_here(folder, "rules", "explain", *words, "GET", "https://app.example.com/")
    headers = json.loads(result.stdout)["headers"]
    assert headers["Remote-User"] == "company:7f3c"
    assert headers["Remote-Groups"] == "company:staff"
    assert headers["Remote-Email"] == "a@example.com"
    assert headers["Remote-Name"] == "Alice"


def test_a_refused_account_has_no_decision(folder: Path) -> None:
    (folder / "claims.json").write_text(json.dumps(CLAIMS | {"groups": []}))
    words = ("--provider", "company", "--claims", "claims.json", "GET", "https://app.example.com/")
    result = authgw_here(folder, "rules", "explain", *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "refused (account_not_accepted)" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--provider", "company"),
        ("--claims", "claims.json"),
        ("--provider", "company", "--claims", "claims.json", "--user", "alice"),
        ("--provider", "company", "--claims", "claims.json", "--group", "staff"),
    ],
)
def test_contradictory_options_are_wrong_usage(folder: Path, words: tuple[str, ...]) -> None:
    result = authgw_here(folder, "rules", "explain", *words, "GET", "https://app.example.com/")
    assert result.exit_code == 2
