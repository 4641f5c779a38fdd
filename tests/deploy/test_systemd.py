"""The units as parsed by systemd, and a gateway restricted to the permitted system calls."""

import errno
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyseccomp
import pytest
import yaml

from authgw.config.loader import load
from authgw.config.schema import Settings
from authgw.setup.answers import Answers, ProtectedApp, PublicDomain
from authgw.setup.services import Machine, render_service
from tests.support.processes import AUTHGW, ROOT, ask, authgw, free_port, wait_for

# The machine of this test may have no journal.
HERE = {"AUTHGW_LOGGING__COMMANDS": "stderr"}
FOLDER = ROOT / "examples" / "systemd"
UNITS = ("authgw.service", "authgw@.service", "authgw-keys.service")
MOST_EXPOSED = 20  # tenths of systemd's scale to 10: "OK" ends at 49
PASSWORD = "correct horse battery staple"
_PROT_WRITE, _PROT_EXEC = 2, 4


def analyze(*words: str) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.fail("systemd-analyze is missing: apt-get install systemd")
    command = [program, "--no-pager", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def settings_of(unit: str) -> list[tuple[str, str]]:
    lines = (FOLDER / unit).read_text().splitlines()
    pairs = (line.partition("=") for line in lines if not line.startswith(("#", "[")))
    return [(key, value) for key, equals, value in pairs if equals]


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copy the units, with a program that exists here and an instance of the template."""
    for unit in UNITS:
        text = (FOLDER / unit).read_text().replace("/opt/authgw/bin/authgw", str(AUTHGW))
        (tmp_path / unit).write_text(text)
    shutil.copy(tmp_path / "authgw@.service", tmp_path / "authgw@8081.service")
    return tmp_path


@pytest.mark.parametrize("unit", ["authgw.service", "authgw@8081.service", "authgw-keys.service"])
def test_systemd_accepts_the_units(units: Path, unit: str) -> None:
    result = analyze("verify", "--man=no", str(units / unit))
    assert (result.returncode, result.stderr) == (0, "")


def test_systemd_accepts_the_unit_of_init(tmp_path: Path) -> None:
    app = ProtectedApp("app.example.com", "127.0.0.1", 3000)
    answers = Answers("nginx", PublicDomain("example.com"), (app,), service="systemd")
    machine = Machine("/etc/authgw", str(AUTHGW), (0, 0), "1.2.3")
    unit = tmp_path / "authgw.service"
    unit.write_text(render_service(answers, Settings(), machine)[unit.name])
    result = analyze("verify", "--man=no", str(unit))
    assert (result.returncode, result.stderr) == (0, "")
    limit = f"--threshold={MOST_EXPOSED}"
    result = analyze("security", "--offline=yes", limit, str(unit))
    assert result.returncode == 0, result.stdout


def test_systemd_detects_a_misspelt_line(units: Path) -> None:
    unit = units / "authgw.service"
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHomes="))
    assert "ProtectHomes" in analyze("verify", "--man=no", str(unit)).stderr


@pytest.mark.parametrize("unit", ["authgw.service", "authgw@8081.service", "authgw-keys.service"])
def test_the_exposure_level_is_low(units: Path, unit: str) -> None:
    limit = f"--threshold={MOST_EXPOSED}"
    result = analyze("security", "--offline=yes", limit, str(units / unit))
    assert result.returncode == 0, result.stdout


def test_all_units_have_the_same_confinement() -> None:
    sandboxes = [
        settings[settings.index(("NoNewPrivileges", "yes")) :]
        for settings in map(settings_of, UNITS)
    ]
    compared = [[pair for pair in directives if pair[0] != "WantedBy"] for directives in sandboxes]
    assert compared[0] == compared[1] == compared[2]


@pytest.mark.parametrize(
    "url", ["embedded:////var/lib/authgw/sessions.db", "redis://127.0.0.1:6379/0"]
)
def test_the_gateway_accepts_its_configuration(tmp_path: Path, url: str) -> None:
    data = yaml.safe_load((FOLDER / "config.yml").read_text())
    data["cache"]["url"] = url
    (tmp_path / "config.yml").write_text(yaml.safe_dump(data))
    loaded = load(tmp_path / "config.yml", {"AUTHGW_SERVER__PORT": "8081"})
    assert not loaded.warnings
    assert not loaded.rule_warnings
    stop = int(dict(settings_of("authgw.service"))["TimeoutStopSec"])
    assert stop > loaded.settings.server.drain


def _calls_of(name: str) -> set[str]:
    """Return the system calls of a set, including nested sets."""
    if not name.startswith("@"):
        return {name}
    lines = analyze("syscall-filter", name).stdout.splitlines()[1:]
    inside = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    return set[str]().union(*map(_calls_of, inside))


def _allowed() -> set[str]:
    allowed: set[str] = set()
    for key, value in settings_of("authgw.service"):
        if key == "SystemCallFilter":
            named = set[str]().union(*map(_calls_of, value.lstrip("~").split()))
            allowed = allowed - named if value.startswith("~") else allowed | named
    # systemd.exec(5) always allows these.
    return allowed | _calls_of("@default") | {"execve", "exit", "exit_group"}


def confined() -> Callable[[], None]:
    """Apply systemd's restrictions to the child process: SystemCallFilter and the memory rule."""
    named = dict(settings_of("authgw.service")).get("SystemCallErrorNumber")
    refused = pyseccomp.ERRNO(getattr(errno, named)) if named else pyseccomp.KILL_PROCESS
    memory = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for call, flags in (("mmap", _PROT_WRITE | _PROT_EXEC), ("mprotect", _PROT_EXEC)):
        memory.add_rule(
            pyseccomp.ERRNO(errno.EPERM), call, pyseccomp.Arg(2, pyseccomp.MASKED_EQ, flags, flags)
        )
    calls = pyseccomp.SyscallFilter(refused)
    for call in _allowed():
        try:
            calls.add_rule(pyseccomp.ALLOW, call)
        except (OSError, ValueError):
            continue  # of another architecture

    def confine() -> None:
        memory.load()
        calls.load()

    return confine


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[tuple[Path, int, "subprocess.Popen[bytes]"]]:
    """A gateway of the shipped configuration, in a separate directory, confined."""
    text = (FOLDER / "config.yml").read_text().replace("/var/lib/authgw", str(tmp_path / "state"))
    port = free_port()
    more = f"\nserver: {{port: {port}, drain: 0s}}\nmetrics: {{port: {free_port()}}}\n"
    (tmp_path / "config.yml").write_text(text + more)
    (tmp_path / "state").mkdir(mode=0o700)
    added = authgw(tmp_path, "user", "add", "alice", "--password-stdin", stdin=PASSWORD, **HERE)
    assert added.returncode == 0, added.stderr
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(AUTHGW), "serve"],
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            preexec_fn=confined(),
        )
    try:
        wait_for(port)
        yield tmp_path, port, process
    finally:
        process.terminate()
        process.wait(30)


def test_a_confined_gateway_works(
    gateway: tuple[Path, int, "subprocess.Popen[bytes]"],
) -> None:
    folder, port, process = gateway
    result = {"username": "alice", "password": PASSWORD}
    pair = ask(port, "POST", "/login", body=result)
    assert pair.status == 200, (folder / "log").read_text()
    assert ask(port, "POST", "/refresh", body={"refresh": pair.json()["refresh"]}).status == 200
    assert ask(port, "GET", "/readyz").status == 200
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    # The thread that verified the password has lowered its priority.
    nice = [int(stat.read_text().rpartition(")")[2].split()[16]) for stat in threads(process.pid)]
    assert 10 in nice
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def threads(pid: int) -> Iterator[Path]:
    return Path(f"/proc/{pid}/task").glob("*/stat")


def test_a_confined_gateway_can_use_up_a_recovery_code(
    gateway: tuple[Path, int, "subprocess.Popen[bytes]"],
) -> None:
    folder, port, _ = gateway
    made = authgw(folder, "user", "totp", "alice", **HERE).stdout
    code = made.split("without the app:\n")[1].splitlines()[0]
    result = {"username": "alice", "password": PASSWORD}
    for _ in range(100):
        if ask(port, "POST", "/login", body=result).status == 401:
            break
        time.sleep(0.05)
    answers = [ask(port, "POST", "/login", body={**result, "totp": code}) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 401]
    assert (folder / "state" / "users.yml").stat().st_mode & 0o777 == 0o600
