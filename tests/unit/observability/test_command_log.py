"""Events of commands: their line, their place, and a place that cannot be written."""

import getpass
import json
import os
import socket
from pathlib import Path

import pytest

from authgw.config.loader import LoadedConfig
from authgw.config.schema import Settings
from authgw.core.log_events import AUDIT_EVENTS
from authgw.observability import command_log
from authgw.observability.command_log import CommandLog, CommandLogError

ME = getpass.getuser()


def loaded(folder: Path, commands: str, mode: str = "json") -> LoadedConfig:
    settings = Settings.model_validate({"logging": {"commands": commands, "mode": mode}})
    return LoadedConfig(settings, (), folder, None)


def test_the_event_names_the_change_and_the_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    log = CommandLog(loaded(tmp_path, "./changes.log"), "user add")
    log.change(user='al"ice\n')
    monkeypatch.setenv("SUDO_USER", "carol")
    CommandLog(loaded(tmp_path, "./changes.log"), "client add").change(client="shop")
    CommandLog(loaded(tmp_path, "./changes.log"), "key add").change(kid="k1")
    CommandLog(loaded(tmp_path, "./changes.log"), "session revoke").revoked("alice", "s1")
    CommandLog(loaded(tmp_path, "./changes.log"), "user link").change(
        user="alice", provider="company", account="7f3c"
    )
    entries = [json.loads(line) for line in (tmp_path / "changes.log").read_text().splitlines()]
    assert len(entries) == 5
    by = {"authgw.operator": "carol", "process.owner": ME}
    for entry, expected in zip(
        entries,
        [
            {
                "event": "change",
                "message": f'Changed: user add al"ice\n, by operator {ME}',
                "user.name": 'al"ice\n',
                "authgw.command": "user add",
                **by,
                "authgw.operator": ME,
            },
            {"event": "change", "authgw.client": "shop", "authgw.command": "client add", **by},
            {"event": "change", "authgw.kid": "k1", "authgw.command": "key add", **by},
            {
                "event": "revoke",
                "user.name": "alice",
                "authgw.sid": "s1",
                "authgw.command": "session revoke",
                **by,
            },
            {
                "event": "change",
                "user.name": "alice",
                "authgw.provider": "company",
                "authgw.account": "7f3c",
                "authgw.command": "user link",
                **by,
            },
        ],
        strict=True,
    ):
        assert {**entry, **expected} == entry
        common = {"time", "level", "message", "event", "detail"}
        assert set(entry) <= {*common, *AUDIT_EVENTS[entry["event"]].fields}


def test_the_line_has_the_format_of_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    CommandLog(loaded(tmp_path, "stderr", "text"), "user add").change(user="alice")
    output = capsys.readouterr()
    assert output.out == ""
    assert " INFO    Changed: user add alice, by operator " in output.err
    assert " event=change user.name=alice " in output.err


@pytest.mark.parametrize("content", [None, "before\n"])
def test_a_file_is_created_or_appended_to(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "changes.log"
    if content:
        path.write_text(content)
        path.chmod(0o600)
    log = CommandLog(loaded(tmp_path, "./changes.log"), "key init")
    log.change()
    log.change()
    text = path.read_text()
    assert text.startswith(content or "{")
    assert text.count('"event": "change"') == 2
    assert path.stat().st_mode & 0o777 == (0o600 if content else 0o640)


def test_the_log_of_a_container_is_the_standard_error_of_its_process(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        place = f"/proc/{os.getpid()}/fd/{writer}"
        CommandLog(loaded(tmp_path, place), "user add").change(user="alice")
        assert json.loads(os.read(reader, 4096))["user.name"] == "alice"
    finally:
        os.close(reader)
        os.close(writer)


def test_syslog_receives_the_line_with_the_name_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    monkeypatch.setattr(command_log, "_SYSLOG_SOCKET", str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(path))
        CommandLog(loaded(tmp_path, "syslog"), "user add").change(user="alice")
        sent = daemon.recv(8192)
    # Facility authpriv (10), severity informational (6): RFC 5424 section 6.2.1.
    head, _, line = sent.partition(b"authgw: ")
    assert head == b"<86>"
    assert json.loads(line)["event"] == "change"


@pytest.mark.parametrize("place", ["missing/changes.log", "syslog", "./fifo", "./"])
def test_without_a_place_the_command_must_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(command_log, "_SYSLOG_SOCKET", str(tmp_path / "absent"))
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(
        CommandLogError, match=rf"logging\.commands: {place}: .*Nothing was changed"
    ):
        CommandLog(loaded(tmp_path, place), "user add")


def test_an_event_that_cannot_be_written_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = CommandLog(loaded(tmp_path, "/dev/full"), "user add")
    log.change(user="alice")
    line, warning = capsys.readouterr().err.splitlines()
    assert json.loads(line)["user.name"] == "alice"
    assert warning.startswith("warning: logging.commands: /dev/full: ")


def test_a_daemon_that_has_gone_is_an_error_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    monkeypatch.setattr(command_log, "_SYSLOG_SOCKET", str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(path))
        log = CommandLog(loaded(tmp_path, "syslog"), "user add")
    log.change(user="alice")
    line, warning = capsys.readouterr().err.splitlines()
    assert (json.loads(line)["event"], warning.partition(": [")[0]) == (
        "change",
        "warning: logging.commands: syslog",
    )


def test_an_account_without_a_name_is_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown() -> str:
        raise KeyError

    monkeypatch.setattr(getpass, "getuser", unknown)
    CommandLog(loaded(tmp_path, "stderr"), "user add").change(user="alice")
    entry = json.loads(capsys.readouterr().err)
    assert entry["process.owner"] == str(os.geteuid())
