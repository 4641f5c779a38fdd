"""A machine of a new user: a terminal in namespaces of its own, in which nothing is installed yet.

It has its own network, a copy of /etc, its own entries of /opt and /usr/local/bin, and an empty
home directory; everything else is that of this machine. Ports are those of the manual.
"""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.packages import BIN, run
from tests.support.processes import ISSUED, LOGS, ROOT
from tests.support.proxies import program

PASSWORD = "tuck-vole-brim-seventy"
_SETUP = Path(__file__).with_suffix(".bash")
# The PATH of a user of Debian, and that of sudo.
_USER_PATH = "/usr/local/bin:/usr/bin:/bin"
_SUDO_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The end of an output whose program waits for a line; the manual's programs ask for passwords only.
_PROMPT = re.compile(r"[^\n]: $")
# Programs that cannot do here what they do on a machine of its own.
_STAND_INS = {
    # The tests run as root, and a container may lack sudo.
    "sudo": f'exec env PATH="$ROOM/bin:{_SUDO_PATH}" "$@"',
    # Installs nothing: the programs are there, or the test fails and names the missing program.
    # Starts nginx and caddy, as Debian does. Without a certificate authority Caddy signs its own.
    "apt-get": r"""
        [ "$1 $2" = "install -y" ] || exit 2
        shift 2
        for package; do
          [ "$package" = pipx ] || [ -x "$(PATH=$PATH:/usr/sbin command -v "$package")" ] ||
            { echo "$package is missing: apt-get install $package"; exit 100; }
          case $package in
            nginx) nginx ;;
            caddy) sed -i '1i {\nlocal_certs\nskip_install_trust\n}' /etc/caddy/Caddyfile
                   caddy start --config /etc/caddy/Caddyfile >/var/log/caddy.log 2>&1 ;;
          esac
        done""",
    # Installs the built wheel, without an index; its dependencies are those of the tests.
    "pipx": r"""
        [ "$*" = "install authgw" ] || exit 2
        environment=${PIPX_HOME:-$HOME/.local/share/pipx}/venvs/authgw
        "$TEST_PYTHON" -m venv --without-pip "$environment" &&
          "$TEST_PYTHON" -m pip --python "$environment" install -q --no-index --no-deps "$WHEEL" ||
          exit
        for packages in "$environment"/lib/python*/site-packages; do
          echo "$DEPENDENCIES" >"$packages/dependencies.pth"
        done
        mkdir -p "${PIPX_BIN_DIR:=$HOME/.local/bin}"
        ln -s "$environment/bin/authgw" "$PIPX_BIN_DIR/"
        echo "  installed package authgw" """,
    # Starts the program of a unit, as root: systemd does not run in these namespaces.
    "systemctl": r"""
        [ "$1 $2" = "enable --now" ] || exit 2
        program=$(sed -n 's/^ExecStart=//p' "/etc/systemd/system/$3.service")
        [ -n "$program" ] || exit 5
        setsid $program >"/var/log/$3" 2>&1 </dev/null &""",
    "journalctl": '[ "$1" = -u ] || exit 2; cat "/var/log/$2"',
}


@dataclass(frozen=True)
class Result:
    """The exit status of a command, and its output on the terminal."""

    status: int
    output: str


class CleanMachine:
    """A terminal with a shell; `run` types a command into it."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.home = folder / "home"
        self._room = folder / "room"
        for path in (self.home, self._room / "bin"):
            path.mkdir(parents=True)
        for name in ("commands", "results"):
            os.mkfifo(self._room / name)
        for name, text in _STAND_INS.items():
            _write_program(self._room / "bin" / name, text)
        # The certificates of the manual's hosts are placeholders.
        (self.home / ".curlrc").write_text("insecure\n")
        self._environ = _environ(self.home, self._room, wheel)
        self._count = 0
        self._output = ""
        ISSUED.add(PASSWORD)

    def put_clone(self) -> Path:
        """Copy this repository, with an environment in which `make run` has nothing to install."""
        clone = self.home / "authgw"
        names = run("git", "ls-files", "-z").split("\0")
        for name in filter(None, names):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
        programs = clone / ".venv-run" / "bin"
        programs.mkdir(parents=True)
        (programs / "honcho").symlink_to(BIN / "honcho")
        _write_program(programs / "authgw", f'exec {sys.executable} -m authgw "$@"')
        (programs.parent / ".installed").touch()
        return clone

    def put_traefik(self) -> Path:
        """Write the archive in which Traefik is published, with a link to the program."""
        archive = self.home.parent / "traefik.tar.gz"
        link = tarfile.TarInfo("traefik")
        link.type, link.linkname = tarfile.SYMTYPE, program("traefik")
        with tarfile.open(archive, "w:gz") as file:
            file.addfile(link)
        return archive

    def start(self) -> None:
        """Start the shell, in the home directory."""
        words = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:  # pragma: no cover  # the child becomes another program
            os.execvpe(words[0], [*words, "bash", str(_SETUP)], self._environ)  # noqa: S606  a command of this test
        # Open for both directions, so that this waits for no other end.
        self._commands = os.open(self._room / "commands", os.O_RDWR)
        self._results = os.open(self._room / "results", os.O_RDWR)

    def stop(self) -> None:
        """End the shell and every program of the machine."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        LOGS.update(self.home.rglob("gateway.log"))
        for descriptor in (self._terminal, self._commands, self._results):
            os.close(descriptor)

    def run(self, command: str, seconds: float = 60) -> Result:
        """Type a command, wait for its end, and type the password where it is asked for.

        A command that ends with `&` has started when a further port is open.
        """
        opened = self._open_ports()
        self._send(command)
        output = self._read_until_done(seconds)
        status = int(os.read(self._results, 16))
        output += self._read_rest()
        if command.rstrip().endswith("&"):
            self._wait_for_port(opened)
        return Result(status, _plain(output))

    def run_elsewhere(self, command: str, mark: str, seconds: float = 60) -> Result:
        """Type a command in another terminal, and wait until it has printed the mark."""
        terminal = self._room / "other-terminal"
        status = self.run(f"{command} >{terminal} 2>&1 &").status
        end = time.monotonic() + seconds
        while mark not in terminal.read_text() and time.monotonic() < end:
            time.sleep(0.05)
        output = terminal.read_text()
        return Result(status if mark in output else 1, output)

    def python(self, code: str) -> str:
        """Run Python with the modules of the tests in the network of this machine."""
        words = ["nsenter", "--net", "--target", str(self._pid), sys.executable, "-c", code]
        done = subprocess.run(words, cwd=ROOT, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _send(self, command: str) -> None:
        self._count += 1
        file = self._room / f"command-{self._count}"
        file.write_text(f"{command}\n")
        os.write(self._commands, f"{file}\n".encode())

    def _is_done(self) -> bool:
        return bool(select.select([self._results], [], [], 0)[0])

    def _read_until_done(self, seconds: float) -> str:
        output, answered, end = "", 0, time.monotonic() + seconds
        while not self._is_done():
            assert time.monotonic() < end, f"not done after {seconds} s:\n{output}"
            found = self._read(0.05)
            output += found
            if not found and _PROMPT.search(output, answered):
                answered = len(output)
                os.write(self._terminal, f"{PASSWORD}\n".encode())
        return output

    def _read_rest(self) -> str:
        output = ""
        while found := self._read(0.02):
            output += found
        return output

    def _read(self, seconds: float) -> str:
        if not select.select([self._terminal], [], [], seconds)[0]:
            return ""
        try:
            output = os.read(self._terminal, 65536).decode(errors="replace")
        except OSError:
            pytest.fail(f"the shell of the clean machine has ended:\n{self._output[-2000:]}")
        self._output += output
        return output

    def _open_ports(self) -> set[int]:
        lines = [
            line.split()
            for name in ("tcp", "tcp6")
            for line in Path(f"/proc/{self._pid}/net/{name}").read_text().splitlines()[1:]
        ]
        return {int(words[1].rpartition(":")[2], 16) for words in lines if words[3] == "0A"}

    def _wait_for_port(self, before: set[int]) -> None:
        for _ in range(400):
            if self._open_ports() - before:
                return
            time.sleep(0.05)
        pytest.fail(f"no further port was opened:\n{_plain(self._read_rest())}")


def _write_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


def _environ(home: Path, room: Path, wheel: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "PATH": f"{room / 'bin'}:{_USER_PATH}",
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "ROOM": str(room),
        "TEST_PYTHON": sys.executable,
        "WHEEL": str(wheel),
        "DEPENDENCIES": sysconfig.get_path("purelib"),
        # No proxy of these machines serves clients while the gateway stops.
        "AUTHGW_SERVER__DRAIN": "1s",
    }


def _plain(output: str) -> str:
    """Return the text of a terminal's output, without its control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output).replace("\r\n", "\n")
