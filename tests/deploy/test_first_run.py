"""The first run of a new user: from the wheel to a protected page, by the commands of the manual.

The commands are those that `authgw init` prints. Each test writes them with their seconds to
`transcript.txt`.
"""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.first_login import HttpBrowser
from tests.support.packages import BIN, lend_dependencies
from tests.support.processes import LOGS, ask, free_port, wait_for
from tests.support.proxies import program

_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MAX_COMMANDS = 6


class Transcript:
    """A shell of a new user that writes down each command with its output and seconds."""

    def __init__(self, home: Path, programs: Path) -> None:
        self.home = home
        self.count = 0
        self._started: list[subprocess.Popen[bytes]] = []
        path = f"{programs}:{BIN}:{_SYSTEM}"
        self.environ = {"HOME": str(home), "PATH": path, "LANG": "C.UTF-8"}

    @property
    def text(self) -> Path:
        """The file of all commands."""
        return self.home / "transcript.txt"

    def continued(self, home: Path) -> "Transcript":
        """Return a shell in another directory after the commands of this shell."""
        shell = Transcript(home, Path())
        shell.count, shell.environ = self.count, {**self.environ, "HOME": str(home)}
        shell.text.write_text(self.text.read_text())
        return shell

    def run(self, command: str) -> str:
        """Run a command that succeeds, and return its output."""
        begin = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.home,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=100,
        )
        self._write(command, done.stdout, begin)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start(self, command: str, port: int) -> None:
        """Start a command that goes on, and wait until it listens on this port."""
        begin, log = time.monotonic(), self.home / f"log-{self.count}"
        LOGS.add(log)
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.home,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._started.append(process)
        wait_for(port)
        self._write(f"{command} &", "", begin)

    def stop(self) -> None:
        """End the commands that were started."""
        for process in reversed(self._started):
            process.terminate()
            process.wait(20)

    def _write(self, command: str, output: str, begin: float) -> None:
        self.count += 1
        seconds = time.monotonic() - begin
        with self.text.open("a") as file:
            file.write(f"$ {command}\n{output}# {seconds:.1f} s\n")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Transcript:
    """A shell after the installation of the wheel, in place of pipx, which needs a registry."""
    home = tmp_path_factory.mktemp("installed")
    shell = Transcript(home, home / "env" / "bin")
    shell.run("python3 -m venv env")
    shell.run(f"env/bin/pip install --quiet --no-index --no-deps {wheel}")
    lend_dependencies(home / "env")
    return shell


@pytest.fixture
def shell(installed: Transcript, tmp_path: Path) -> Iterator[Transcript]:
    shell = installed.continued(tmp_path)
    yield shell
    shell.stop()


def printed_commands(output: str) -> list[str]:
    """Return the commands that `authgw init` prints, in their order."""
    return re.findall(r"^     (\S.*)$", output.partition("Two things are left")[2], re.MULTILINE)


@pytest.mark.parametrize("name", ["nginx", "traefik", "caddy", "haproxy", "envoy"])
def test_a_new_user_gets_a_protected_page(shell: Transcript, name: str) -> None:
    program(name)
    port, upstream, gateway = free_port(), free_port(), free_port()
    site = f"--domain localhost:{port} --protect localhost=127.0.0.1:{upstream}"
    output = shell.run(f"authgw init site --proxy {name} {site} --user alice --port {gateway}")
    app, proxy, serve = printed_commands(output)
    shell.start(app, upstream)
    shell.start(proxy, port)
    shell.start(serve, gateway)
    assert shell.count <= MAX_COMMANDS
    wait_until_published(port)
    assert ask(port, "GET", "/", {"Host": f"localhost:{port}"}).status == 401
    password = re.search(r"^Password of alice, shown only now: (\S+)$", output, re.MULTILINE)
    assert password
    url = f"http://localhost:{port}/page?x=1"
    place, page = HttpBrowser(port).log_in(url, "alice", password[1])
    assert (place, page.status) == (url, 200)
    assert "<dd>alice</dd>" in page.body.decode()


def wait_until_published(port: int) -> None:
    """Wait for the gateway behind the proxy; Traefik listens before it knows its hosts."""
    for _ in range(200):
        if ask(port, "GET", "/ping", {"Host": f"localhost:{port}"}).body == b"pong":
            return
        time.sleep(0.05)
    pytest.fail("the proxy does not reach the gateway")
