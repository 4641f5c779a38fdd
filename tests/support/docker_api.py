"""The part of Docker's API that Traefik reads its labels from, on a unix socket."""

import json
import socketserver
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

Labels = Mapping[str, str]


class DockerApi:
    """A server that lists containers by name with their labels; each has the address 127.0.0.1."""

    def __init__(self, socket: Path, containers: Mapping[str, Labels]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(_answer(self.path, containers))

            def do_HEAD(self) -> None:
                self._send({})

            def address_string(self) -> str:
                return "unix"

            def log_message(self, *_: object) -> None:
                pass

            def _send(self, answer: Any) -> None:
                body = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Api-Version", "1.44")
                if answer is not None:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                if answer is None:
                    stopped.wait()

        class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        stopped = threading.Event()
        self._stopped = stopped
        self._server = UnixServer(str(socket), Handler)

    def __enter__(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()


def _answer(path: str, containers: Mapping[str, Labels]) -> Any:
    """Return the answer to a path; None for the stream of events, which stays empty."""
    resource = path.partition("?")[0].split("/")
    if resource[-1] == "events":
        return None
    if resource[-2:] == ["containers", "json"]:
        return [{"Id": name, "Names": [f"/{name}"]} for name in containers]
    if "containers" in resource:
        return _container(resource[-2], containers[resource[-2]])
    return {"ApiVersion": "1.44", "MinAPIVersion": "1.24", "Version": "25", "Os": "linux"}


def _container(name: str, labels: Labels) -> dict[str, Any]:
    network = {"IPAddress": "127.0.0.1", "NetworkID": "proxied"}
    return {
        "Id": name,
        "Name": f"/{name}",
        "State": {"Status": "running", "Running": True},
        "Config": {"Labels": dict(labels)},
        "HostConfig": {"NetworkMode": "proxied"},
        "NetworkSettings": {"Ports": {}, "Networks": {"proxied": network}},
    }
