"""`authgw key`: the list of keys and their states."""

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from authgw.files import key_files
from tests.support.processes import authgw_here, prepare

TIME = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"
HS256 = {"AUTHGW_AUTH__ALGORITHM": "HS256"}
LIFETIME = 720 * 3600  # seconds, auth.refresh_lifetime


def listed(folder: Path, **environ: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(prepare(folder, "key", "list", "--json", **environ))
    return rows


def test_states_and_times(tmp_path: Path) -> None:
    keys, now = tmp_path / "secrets" / "keys", time.time()
    retired = key_files.make_key(keys, "RS256")
    verifying = key_files.make_key(keys, "ES256", now - LIFETIME - 5)
    signing = key_files.make_key(keys, "ES256", now - 60)
    added = json.loads(prepare(tmp_path, "key", "add", "--json"))
    assert re.fullmatch(TIME, added["signs_from"])
    created = 1_700_000_000
    os.utime(keys / f"{signing}.pem", (created, created))
    rows = listed(tmp_path)
    assert [(row["kid"], row["algorithm"], row["state"]) for row in rows] == [
        (retired, "RS256", "retired"),
        (verifying, "ES256", "verifying"),
        (signing, "ES256", "signing"),
        (added["kid"], "ES256", "next"),
    ]
    assert rows[2]["created_at"] == "2023-11-14T22:13:20Z"
    assert (rows[0]["signs_from"], rows[3]["signs_from"]) == (None, added["signs_from"])
    assert re.fullmatch(TIME, rows[1]["verifies_until"])
    assert rows[3]["verifies_until"] is None
    text = prepare(tmp_path, "key", "list").splitlines()
    assert text[0].split() == ["KID", "ALGORITHM", "CREATED", "(UTC)", "STATE"]
    assert text[1].endswith("retired: its file can be removed")
    assert re.search(r"verifying only, until 20\d\d-\d\d-\d\d \d\d:\d\d$", text[2])
    assert text[3].endswith("2023-11-14 22:13  signing")
    assert re.search(r"next, signs from 20\d\d-\d\d-\d\d \d\d:\d\d$", text[4])
    assert "PRIVATE" not in "".join(text)


def test_without_keys(tmp_path: Path) -> None:
    done = authgw_here(tmp_path, "key", "list", "--json")
    assert (done.exit_code, done.stdout) == (0, "[]\n")
    assert "`authgw key init` creates the first" in done.stderr
    assert not (tmp_path / "secrets").exists()


@pytest.mark.parametrize("environ", [{}, HS256], ids=["pairs", "secret"])
def test_init_and_list_name_the_same_keys(tmp_path: Path, environ: dict[str, str]) -> None:
    made = json.loads(prepare(tmp_path, "key", "init", "--json", **environ))
    assert json.loads(prepare(tmp_path, "key", "init", "--json", **environ)) == made
    (row,) = listed(tmp_path, **environ)
    assert (made["kids"], row["state"]) == ([row["kid"]], "signing")
    assert Path(made["path"]).exists()
    secret = tmp_path / "secrets" / "jwt_key"
    if environ:
        assert row["algorithm"] == "HS256"
        assert secret.read_text().strip() not in json.dumps(row)
