"""The README agrees with the code; `python -m tests.test_readme` rewrites its table."""

import re
from pathlib import Path

from authgw.core.reasons import REASONS

README = Path(__file__).parents[1] / "README.md"
_TABLE = re.compile(r"(?<=<!-- codes -->\n).*?(?=<!-- end of codes -->)", re.DOTALL)


def table() -> str:
    unauthorized = {code: reason for code, reason in REASONS.items() if reason.status == 401}
    return "| code | meaning | what to do |\n|---|---|---|\n" + "".join(
        f"| `{code}` | {reason.meaning} | {reason.remedy} |\n"
        for code, reason in unauthorized.items()
    )


def test_the_table_of_codes_is_the_codes() -> None:
    assert _TABLE.findall(README.read_text()) == [table()]


if __name__ == "__main__":
    README.write_text(_TABLE.sub(lambda _: table(), README.read_text()))
