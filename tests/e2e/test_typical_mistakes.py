"""Typical mistakes: each is answered by a message that names the key and the remedy."""

import fcntl
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from authgw.core.reasons import REASONS
from tests.support.processes import (
    AUTHGW,
    ROOT,
    authgw,
    authgw_here,
    free_port,
    make_gateway,
    prepare,
)
from tests.support.redis import wait_for_redis
from tests.support.typical_file_mistakes import FILE_MISTAKES, STATES
from tests.support.typical_mistakes import CONFIGURATION_MISTAKES, Mistake
from tests.support.typical_provider_mistakes import PROVIDER_MISTAKES

MISTAKES = (*CONFIGURATION_MISTAKES, *FILE_MISTAKES, *PROVIDER_MISTAKES)
# Words of the system, of Python and of pydantic that a message must not contain.
_JARGON = re.compile(
    r"Traceback|\[Errno|Errno|Input should|Extra inputs|Field required|value_error|ValidationError"
    r"|NoneType|<block|yaml\.|pydantic"
)
_PREFIX = re.compile(r"^(?:Error: |note: |warning: |(?:ok|warning|problem) +[\w ]+: )")
_LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (?:INFO|WARNING) ")
# Root may read every file: without these capabilities it is refused like another account.
_WITHOUT_RIGHTS = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    if os.geteuid() == 0
    else []
)


def _lines(output: str) -> list[str]:
    """Return the messages of an output without log lines; no message may contain jargon."""
    assert not _JARGON.search(output), output
    return [
        _PREFIX.sub("", line) for line in output.splitlines() if line and not _LOG_LINE.match(line)
    ]


def _remarks(folder: Path) -> set[str]:
    """Return the lines of `config check` about no mistake."""
    return {"The configuration is valid.", f"no config.yml in {folder}, defaults apply"}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_mistake_is_answered_by_key_and_remedy(tmp_path: Path, mistake: Mistake) -> None:
    for name, text in mistake.files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(mistake.mode)
    words = mistake.command.split()
    if words == ["serve"]:
        ended = authgw(tmp_path, *words, **mistake.environ)
        status, output = ended.returncode, ended.stderr
    else:
        done = authgw_here(tmp_path, *words, **mistake.environ)
        status, output = done.exit_code, done.output
    lines = _lines(output)
    message = mistake.message.format(dir=tmp_path)
    assert [line for line in lines if line not in _remarks(tmp_path) - {message}] == [message]
    assert status == mistake.status


def test_there_are_enough_mistakes_and_each_is_another() -> None:
    assert len(MISTAKES) >= 50
    assert len({mistake.name for mistake in MISTAKES}) == len(MISTAKES)


def test_the_first_log_line_says_what_was_read(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = authgw(tmp_path, "serve", AUTHGW_SERVER__PORT=str(port))
    assert ended.returncode == 1
    first = ended.stderr.splitlines()[0]
    assert (
        f": no config.yml in {tmp_path}, defaults apply; no rules (any valid session may access "
        f"every protected host), 0 users, 0 clients, sessions in {tmp_path}/var/authgw.db."
    ) in first
    assert _lines(ended.stderr) == [STATES["port in use"].format(port=port)]


def test_a_store_that_another_process_uses(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    with (tmp_path / "var" / "authgw.db.lock").open("w") as lock:
        lock.write("4711\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = authgw(tmp_path, "serve", AUTHGW_SERVER__PORT=str(free_port()))
    assert _lines(ended.stderr) == [STATES["store in use"].format(dir=tmp_path, pid=4711)]


@pytest.mark.parametrize("name", ["config.yml", "users.yml", "clients.yml"])
def test_a_file_that_this_account_may_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}\n")
    (tmp_path / name).chmod(0)
    ended = _run(_WITHOUT_RIGHTS, tmp_path, "config", "check")
    assert ended.returncode == 1
    place = name if name == "config.yml" else f"{tmp_path}/{name}"
    expected = STATES["file of another account"].format(path=place, uid=os.geteuid(), target=place)
    assert expected in _lines(ended.stderr)


def test_a_store_in_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    prepare(tmp_path, "key", "init")
    (tmp_path / "var").mkdir(mode=0o500)
    ended = _run(_WITHOUT_RIGHTS, tmp_path, "serve")
    assert _lines(ended.stderr) == [
        STATES["file of another account"].format(
            path=tmp_path / "var" / "authgw.db", uid=os.geteuid(), target=tmp_path / "var"
        )
    ]


def _can_mount() -> bool:
    return (
        subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not _can_mount(), reason="only root mounts")
@pytest.mark.parametrize(
    ("mount", "state"),
    [
        ("mount -t tmpfs -o ro tmpfs var", "read-only disk"),
        ("mount -t tmpfs -o size=16k tmpfs var; head -c 16384 /dev/zero > var/full", "full disk"),
    ],
)
def test_a_disk_that_cannot_be_written(tmp_path: Path, mount: str, state: str) -> None:
    prepare(tmp_path, "key", "init")
    (tmp_path / "var").mkdir()
    shell = ["unshare", "-m", "sh", "-c", f'{mount}; exec "$0" "$@"']
    ended = _run(shell, tmp_path, "serve")
    assert _lines(ended.stderr) == [STATES[state].format(dir=tmp_path)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_users_file_of_another_owner(tmp_path: Path) -> None:
    (tmp_path / "users.yml").write_text("{}\n")
    (tmp_path / "clients.yml").write_text("{}\n")
    for name, mode in (("users.yml", 0o600), ("clients.yml", 0o600)):
        (tmp_path / name).chmod(mode)
    os.chown(tmp_path / "clients.yml", 65534, 65534)
    done = authgw_here(tmp_path, "doctor", AUTHGW_SERVER__PORT=str(free_port()))
    assert done.exit_code == 1
    assert STATES["users file of root"].format(dir=tmp_path) in _lines(done.output)


@pytest.fixture
def locked_redis(tmp_path: Path) -> Iterator[str]:
    """Start a Redis server with a password."""
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", "hush"]
    server = subprocess.Popen(["redis-server", *options], cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        wait_for_redis(port, tmp_path)
        yield f"127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


def test_a_wrong_password_of_redis(tmp_path: Path, locked_redis: str) -> None:
    prepare(tmp_path, "key", "init")
    wrong = {"AUTHGW_CACHE__URL": f"redis://:secret@{locked_redis}"}
    message = STATES["wrong password"]
    assert message in _lines(authgw_here(tmp_path, "doctor", **wrong).output)
    ended = authgw(tmp_path, "serve", **wrong)
    assert (ended.returncode, _lines(ended.stderr)) == (1, [message])


def test_a_redis_that_does_not_run(tmp_path: Path) -> None:
    prepare(tmp_path, "key", "init")
    done = authgw_here(tmp_path, "doctor", AUTHGW_CACHE__URL=f"redis://127.0.0.1:{free_port()}/0")
    assert done.exit_code == 1
    assert STATES["no Redis"] in _lines(done.output)


def test_a_clock_far_off(tmp_path: Path, redis_url: str) -> None:
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        pytest.fail("libfaketime is missing: apt-get install libfaketime")
    prepare(tmp_path, "key", "init")
    ended = authgw(
        tmp_path,
        "doctor",
        AUTHGW_CACHE__URL=redis_url,
        LD_PRELOAD=str(libraries[0]),
        FAKETIME="+3600s",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    assert ended.returncode == 1
    # Reading the clocks takes a part of a second.
    seen = [re.sub(r"is 3(599|600)\.\d s", "is 3600.0 s", line) for line in _lines(ended.stdout)]
    port = redis_url.rpartition(":")[2].partition("/")[0]
    assert STATES["wrong clock"].format(port=port) in seen


def test_a_dump_that_is_not_of_nginx(tmp_path: Path) -> None:
    (tmp_path / "dump").write_text("server { listen 80; }\n")
    done = authgw_here(tmp_path, "doctor", "--nginx", "dump")
    assert _lines(done.output) == [STATES["no dump"]]


def test_a_reload_of_a_broken_file(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path / "gateway")
    gateway.start()
    assert gateway.process is not None
    (gateway.folder / "config.yml").write_text("server: {prot: 8080}\n")
    try:
        gateway.process.send_signal(signal.SIGHUP)
        for _ in range(100):
            if "Reload failed" in gateway.log:
                break
        assert STATES["failed reload"] in gateway.log
    finally:
        gateway.kill()


_PAGE = ROOT / "docs" / "troubleshooting.md"
_QUOTED = re.compile(r"^\| (`+) ?(.+?) ?\1 \|", re.MULTILINE)
_SAMPLE = {
    "dir": "/etc/authgw",
    "port": "8080",
    "pid": "4711",
    "uid": "999",
    "path": "/etc/authgw/users.yml",
    "target": "/etc/authgw/users.yml",
}


def test_the_troubleshooting_page_quotes_the_messages_that_exist() -> None:
    page = _PAGE.read_text()
    quoted = {text.replace(r"\|", "|") for _, text in _QUOTED.findall(page)}
    states = {text.format(**_SAMPLE) for text in STATES.values()}
    assert quoted == {mistake.message.format(**_SAMPLE) for mistake in MISTAKES} | states


def test_the_troubleshooting_page_names_the_reasons_that_exist() -> None:
    symptoms = _PAGE.read_text().partition("## A symptom at the proxy")[2].partition("\n### ")[0]
    cells = re.findall(r"^\| \*\*\d+\*\* (.+?) \|", symptoms, re.MULTILINE)
    codes = {code for cell in cells for code in re.findall(r"`([a-z]+_[a-z_]+)`", cell)}
    assert len(codes) >= 15
    assert codes <= REASONS.keys()


def _run(before: list[str], folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AUTHGW_")}
    return subprocess.run(
        [*before, str(AUTHGW), *words],
        cwd=folder,
        env={**environ, "AUTHGW_SERVER__PORT": str(free_port())},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
