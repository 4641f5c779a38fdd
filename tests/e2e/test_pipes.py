"""Commands in shell pipelines: readers that go away, and output without colours."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from authgw.identity import users_editor
from authgw.identity.passwords import hash_password
from tests.support.processes import AUTHGW, GatewayProcess, authgw, make_gateway, prepare

MANY = 600  # sessions whose list is larger than the buffer of a pipe


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    gateway = make_gateway(tmp_path_factory.mktemp("pipes") / "gateway")
    prepare(gateway.folder, "key", "init")
    hashed = hash_password("tuck-vole-brim-seventy")
    users_editor.add(gateway.folder / "users.yml", "alice", hashed, groups=("users",))
    gateway.start()
    for number in range(MANY):
        gateway.login(1 + number % 50)
    yield gateway
    gateway.stop()


def piped(folder: Path, words: str, reader: str) -> tuple[int, str, str]:
    """Run a command in a pipeline; return its own status, the reader's output and all errors."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("AUTHGW_")}
    done = subprocess.run(
        ["bash", "-c", f'{AUTHGW} {words} | {reader}; exit "${{PIPESTATUS[0]}}"'],
        cwd=folder,
        env=environ,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("words", ["session list --json", "session list"])
def test_the_first_line_of_a_long_list(installation: GatewayProcess, words: str) -> None:
    status, first, errors = piped(installation.folder, words, "head -1")
    assert (status, errors) == (0, "")
    assert first.startswith("SID" if words.endswith("list") else '[{"sid": ')


@pytest.mark.parametrize(
    "words",
    [
        "session list",
        "session list --json",
        "user list",
        "user list --json",
        "client list",
        "client list --json",
        "key list",
        "key list --json",
        "key init",
        "rules explain --user alice GET https://a.test/",
        "user app-password alice --list --json",
        "nginx write out/$RANDOM",
    ],
)
def test_a_reader_that_is_gone_is_no_error(installation: GatewayProcess, words: str) -> None:
    # The reader ends before the command starts to write.
    status, _, errors = piped(installation.folder, words, "exec true")
    assert (status, errors) == (0, "")


@pytest.mark.parametrize(
    ("words", "status"),
    [("doctor", 1), ("doctor --json", 1), ("rules explain GET https://a.test/", 3)],
)
def test_a_check_keeps_its_status_without_a_reader(tmp_path: Path, words: str, status: int) -> None:
    (tmp_path / "users.yml").write_text("a: {}\n")
    seen, _, errors = piped(tmp_path, words, "exec true")
    assert (seen, errors) == (status, "")


def test_without_a_reader_of_errors(installation: GatewayProcess) -> None:
    status, _, _ = piped(installation.folder, "user set alice --groups a,b 2>&1", "exec true")
    assert status == 0


def test_lists_are_json_arrays_with_an_object_in_each_line(installation: GatewayProcess) -> None:
    for words in ("session list", "user list", "client list", "key list", "doctor"):
        done = authgw(installation.folder, *words.split(), "--json", **installation.environ)
        rows = json.loads(done.stdout)
        assert isinstance(rows, list)
        assert {type(row) for row in rows} == {dict}, words
        assert len(done.stdout.splitlines()) == len(rows), words


def test_no_colours_in_pipes(installation: GatewayProcess) -> None:
    for words in ("--help", "doctor", "session list", "user list", "user bogus", "user list -x"):
        done = authgw(installation.folder, *words.split(), FORCE_COLOR="1", TERM="xterm-256color")
        assert "\x1b" not in done.stdout + done.stderr
