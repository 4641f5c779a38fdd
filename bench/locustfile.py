"""The five calls with think time, against any address, with Locust's own page.

    pip install locust
    AUTHGW_CLIENT="$(cat secrets/demo-client)" locust -f bench/locustfile.py --host http://localhost:4000

AUTHGW_CLIENT is `id:secret` of a trusted backend that may open sessions for every subject. With
rules, the gateway needs `auth.direct_check: true`.
"""

import os
import random
from typing import Any

from locust import HttpUser, between, task
from locust.exception import RescheduleTask


def _client() -> tuple[str, str]:
    client, colon, secret = os.environ.get("AUTHGW_CLIENT", "").partition(":")
    if not colon:
        raise SystemExit("set AUTHGW_CLIENT=id:secret, of a client as `authgw client add` made")
    return client, secret


_CLIENT = _client()


class LocustUser(HttpUser):
    """A user who logs in, is checked, refreshes and logs out, with think time in between."""

    wait_time = between(0.5, 2.0)

    @task
    def flow(self) -> None:
        """Make the five calls."""
        self.client.get("/ping")
        self.wait()
        body = {"user_id": random.randint(1, 2**62)}  # noqa: S311  not a secret
        pair = self._pair("/login", body, auth=_CLIENT)
        self.client.get("/authenticate", headers=_bearer(pair))
        self.wait()
        pair = self._pair("/refresh", {"refresh": pair["refresh"]})
        self.wait()
        self.client.post("/logout", headers=_bearer(pair))

    def _pair(self, path: str, body: dict[str, Any], **more: Any) -> dict[str, str]:
        with self.client.post(path, json=body, catch_response=True, **more) as answer:
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code}: {answer.text[:200]}")
                raise RescheduleTask
            pair: dict[str, str] = answer.json()
            return pair


def _bearer(pair: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair['access']}"}
