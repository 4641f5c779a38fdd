"""The five calls of the Go service: its files, requests and statuses, with a session per user."""

import json
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
import yaml

_KEY = "the key of the stand-in, of at least 32 bytes"
_pairs: dict[int, dict[str, str]] = {}


class GoStandIn(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # a response is a single write

    def do_GET(self) -> None:
        if self.path == "/ping":
            self._answer(200, b"pong")
        else:
            user = self._bearer("access")
            self._answer(400 if user is None else 200, json.dumps({"user_id": user}).encode())

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length", "0"))
        body = json.loads(self.rfile.read(size)) if size else {}
        if self.path == "/login":
            self._open(body["user_id"])
        elif self.path == "/refresh":
            user = _owner("refresh", body["refresh"])
            self._answer(500, b"failed") if user is None else self._open(user)
        else:
            user = self._bearer("access")
            _pairs.pop(user or 0, None)
            self._answer(500 if user is None else 200, b"")

    def log_message(self, *_args: object) -> None:
        """Write no line for each request."""

    def _open(self, user: int) -> None:
        _pairs[user] = {name: _token(user, name) for name in ("access", "refresh")}
        self._answer(200, json.dumps(_pairs[user]).encode())

    def _bearer(self, name: str) -> int | None:
        return _owner(name, self.headers.get("Authorization", "").removeprefix("Bearer "))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _token(user: int, name: str) -> str:
    return jwt.encode({"user_id": user, "uid": secrets.token_hex(8), "type": name}, _KEY, "HS256")


def _owner(name: str, token: str) -> int | None:
    try:
        user: int = jwt.decode(token, _KEY, ["HS256"])["user_id"]
    except jwt.InvalidTokenError:
        return None
    return user if _pairs.get(user, {}).get(name) == token else None


def main() -> None:
    """Serve as `config.yml` of the working directory says."""
    config = yaml.safe_load(Path("config.yml").read_text())
    assert config["cache"]["port"]
    ThreadingHTTPServer(("127.0.0.1", config["server"]["port"]), GoStandIn).serve_forever()


if __name__ == "__main__":
    main()
