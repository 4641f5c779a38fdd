"""Every test that a guarantee rests on exists."""

import re

from tests.support.named_tests import exists
from tests.support.processes import ROOT

_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def missing(text: str) -> list[str]:
    return [f"{file}::{name}" for file, name in _NAMED.findall(text) if not exists(file, name)]


def test_every_guarantee_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "explanation" / "guarantees.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ") and "|---" not in line]
    promises = [row for row in rows if not row.startswith("| promise")]
    assert len(promises) > 20
    assert not [row for row in promises if not _NAMED.search(row)]
    assert not missing(text)


def test_the_check_can_fail() -> None:
    assert missing("`tests/test_guarantees.py::test_nobody_wrote`")
    assert missing("`tests/nowhere.py::test_the_check_can_fail`")
    assert not missing("`tests/test_guarantees.py::test_the_check_can_fail`")
