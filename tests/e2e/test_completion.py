"""Shell completion, as docs/how-to/shell-completion.md sets it up."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import AUTHGW, ROOT, authgw

GUIDE = (ROOT / "docs/how-to/shell-completion.md").read_text()
# What bash does when the user presses Tab after these words.
PRESS_TAB = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_authgw_completion authgw
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the script for bash, written by the command of the guide."""
    directory = tmp_path_factory.mktemp("completion")
    command = "_AUTHGW_COMPLETE=bash_source authgw"
    assert f"{command} > " in GUIDE
    written = directory / "authgw.bash"
    subprocess.run(["bash", "-c", f"{command} > {written}"], env=environ(), check=True, timeout=60)
    return written


def environ() -> dict[str, str]:
    return {**os.environ, "PATH": f"{AUTHGW.parent}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("authgw ''", {"client", "doctor", "key", "session", "user"}),
        ("authgw us", {"user"}),
        ("authgw user rem", {"remove"}),
        ("authgw client r", {"remove", "rotate"}),
        ("authgw session list --", {"--user", "--json", "--config", "--help"}),
        ("authgw --config other.yml key l", {"list"}),
    ],
)
def test_bash(script: Path, words: str, expected: set[str]) -> None:
    pressed = PRESS_TAB.format(script=script, words=words)
    done = subprocess.run(
        ["bash", "-c", pressed],
        env=environ(),
        text=True,
        capture_output=True,
        timeout=60,
        check=True,
    )
    proposals = set(done.stdout.split())
    assert expected <= proposals, done.stderr
    if not words.endswith(("''", "--")):
        assert proposals == expected


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("zsh", "compdef _authgw_completion authgw"),
        ("fish", "complete --no-files --command authgw"),
    ],
)
def test_scripts_for_other_shells(tmp_path: Path, shell: str, line: str) -> None:
    assert f"_AUTHGW_COMPLETE={shell}_source authgw > " in GUIDE
    done = authgw(tmp_path, _AUTHGW_COMPLETE=f"{shell}_source")
    assert (done.returncode, line in done.stdout) == (0, True)
    # The scripts run the command with these variables; zsh and fish need not be installed.
    typed = {"COMP_WORDS": "authgw user rem", "COMP_CWORD": "rem" if shell == "fish" else "2"}
    done = authgw(tmp_path, _AUTHGW_COMPLETE=f"{shell}_complete", **typed)
    assert "remove" in done.stdout
    assert "rotate" not in done.stdout
