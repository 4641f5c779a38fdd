"""Valid credentials for schemathesis: the client `id:secret` in AUTHGW_TEST_CLIENT."""

import os
from base64 import b64encode
from typing import Any

import requests
import schemathesis

BASIC = f"Basic {b64encode(os.environ['AUTHGW_TEST_CLIENT'].encode()).decode()}"


@(
    schemathesis.auth(refresh_interval=None)
    .apply_to(path=["/revoke", "/sessions"])
    .apply_to(path="/login", method="POST")
)
class BackendAuth:
    """Authenticates as a trusted backend, unless the body has a user name: a login by password."""

    def get(self, case: Any, context: Any) -> str:
        return BASIC

    def set(self, case: Any, data: str, context: Any) -> None:
        if not (isinstance(case.body, dict) and "username" in case.body):
            case.headers["Authorization"] = data


@(
    schemathesis.auth(refresh_interval=None)
    .apply_to(path=["/authenticate", "/authenticate/forward"])
    .apply_to(path="/logout", method="POST")
)
class Bearer:
    """Presents a new access token each time, since a logout ends its session."""

    def get(self, case: Any, context: Any) -> str:
        answer = requests.post(
            f"{case.operation.base_url.rstrip('/')}/login",
            json={"user_id": 1},
            headers={"Authorization": BASIC},
            timeout=10,
        )
        return str(answer.json()["access"])

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Drop a user_id written as 1.0: an integer in JSON Schema, but not accepted."""
    number = body.get("user_id") if isinstance(body, dict) else None
    return not (isinstance(number, float) and number.is_integer())
