"""The manual has the codes of 401; `python -m tests.unit.test_refusal_codes` writes the table."""

import re

from authgw.core.reasons import REASONS
from tests.support.processes import ROOT

PAGE = ROOT / "docs" / "how-to" / "refusals.md"
_TABLE = re.compile(r"(?<=<!-- codes -->\n).*?(?=<!-- end of codes -->)", re.DOTALL)


def table() -> str:
    unauthorized = {code: reason for code, reason in REASONS.items() if reason.status == 401}
    return "| code | meaning | what to do |\n|---|---|---|\n" + "".join(
        f"| `{code}` | {reason.meaning} | {reason.remedy} |\n"
        for code, reason in unauthorized.items()
    )


def test_the_table_of_codes_is_the_codes() -> None:
    assert _TABLE.findall(PAGE.read_text()) == [table()]


if __name__ == "__main__":
    PAGE.write_text(_TABLE.sub(lambda _: table(), PAGE.read_text()))
