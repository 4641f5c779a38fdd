"""The first line of the log: the configuration that was read, without a secret."""

from importlib.metadata import version
from pathlib import Path

import pytest

from authgw.config.loader import load
from authgw.server.summary import summary
from tests.support.config import loaded


def test_a_file_and_its_rules_are_counted(tmp_path: Path) -> None:
    got = loaded(tmp_path, "rules: [{allow: anyone, host: a.test}, {allow: authenticated}]")
    assert summary(got, users=1, clients=0) == (
        f"authgw {version('authgw')}: configuration {tmp_path}/config.yml; "
        f"2 rules, 1 user, 0 clients, sessions in {tmp_path}/var/authgw.db."
    )


def test_a_start_without_a_file_is_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = summary(load(None, {}), users=0, clients=2)
    assert f"no config.yml in {tmp_path}, defaults apply; no rules (any valid session may" in said


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("embedded://memory", "sessions in memory"),
        ("redis://:hush@redis/0", "sessions in a single Redis."),
        ("rediss://u:hush@redis/0", "sessions in a single Redis by TLS."),
        ("redis+sentinel://:hush@a,b/m", "sessions in Redis with Sentinels."),
        ("rediss+cluster://:hush@a,b", "sessions in a Redis Cluster by TLS."),
    ],
)
def test_the_store_is_named_by_its_kind(tmp_path: Path, url: str, said: str) -> None:
    line = summary(loaded(tmp_path, f"cache: {{url: '{url}'}}"), users=0, clients=0)
    assert said in line
    assert "hush" not in line
