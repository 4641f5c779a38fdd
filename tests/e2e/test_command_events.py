"""Each command that changes something leaves an event, without a secret."""

import json
import re
from pathlib import Path

import pytest

from authgw.core.log_events import AUDIT_EVENTS
from tests.support.processes import authgw_here, prepare

PLACE = {"AUTHGW_LOGGING__COMMANDS": "./changes.log", "AUTHGW_LOGGING__MODE": "json"}
USER = {"user.name": "alice"}
# Each command with the name of its event's command and its fields.
COMMANDS = [
    ("user add alice --generate", "user add", USER),
    ("user passwd alice --generate", "user passwd", USER),
    ("user disable Alice", "user disable", USER),
    ("user enable alice", "user enable", USER),
    ("user totp alice", "user totp", USER),
    ("user totp alice --remove", "user totp --remove", USER),
    ("user app-password alice --name laptop", "user app-password", USER),
    ("user app-password alice --revoke laptop", "user app-password --revoke", USER),
    ("client add shop --subjects *", "client add", {"authgw.client": "shop"}),
    ("key init", "key init", {}),
    ("key add", "key add", {}),
]
READERS = ["user list", "user app-password alice --list", "key init"]


def events(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "changes.log").read_text().splitlines()]


def test_each_change_is_an_event_without_a_secret(tmp_path: Path) -> None:
    output = ""
    for number, (words, command, fields) in enumerate(COMMANDS, 1):
        output += prepare(tmp_path, *words.split(), **PLACE)
        recorded = events(tmp_path)
        assert len(recorded) == number, words
        event = recorded[-1]
        assert (event["event"], event["authgw.command"]) == ("change", command)
        assert {**event, **fields} == event
        assert event["authgw.operator"]
        assert set(event) <= {
            *("time", "level", "message", "event", "detail"),
            *AUDIT_EVENTS["change"].fields,
        }
    text = (tmp_path / "changes.log").read_text()
    # Passwords, codes and keys that were printed once, and the hashes and keys that were stored.
    secrets = set(
        re.findall(r"[a-z0-9]{4}(?:-[a-z0-9]{4}){3,}|agw_\w+|secret=\w+|shop:\S+", output)
    )
    assert len(secrets) > 13
    assert not [secret for secret in secrets if secret.split("=")[-1].split(":")[-1] in text]
    assert "$argon2id" not in text
    for words in READERS:
        prepare(tmp_path, *words.split(), **PLACE)
    assert len(events(tmp_path)) == len(COMMANDS)
    # A command that changes nothing needs no place for an event.
    prepare(tmp_path, "key", "init", AUTHGW_LOGGING__COMMANDS="missing/changes.log")


@pytest.mark.parametrize("words", [words for words, _, _ in COMMANDS])
def test_nothing_is_changed_without_a_place_for_the_event(tmp_path: Path, words: str) -> None:
    setup = ("user add alice --generate", "user app-password alice --name laptop")
    for done in setup if words != setup[0] else ():
        if done != words:
            prepare(tmp_path, *done.split())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    broken = {"AUTHGW_LOGGING__COMMANDS": "missing/changes.log"}
    refused = authgw_here(tmp_path, *words.split(), **broken)
    assert (refused.exit_code, "Nothing was changed" in refused.stderr) == (1, True), words
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
