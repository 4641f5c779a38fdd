"""The steps of README and tutorials, and a reader who does each of them at a clean machine."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.support.clean_machine import PASSWORD, CleanMachine

# A fenced block, with a mark before it if it is not run here; or a visit by a browser.
_STEP = re.compile(
    r"^(?:<!-- (?P<mark>not run|run by): (?P<reason>[^\n]+) -->\n)?"
    r'```(?P<kind>\w*)(?: title="(?P<title>[^"\n]+)")?\n(?P<text>.*?)^```$'
    r"|^<!-- browser: (?P<url>\S+) -->$",
    re.MULTILINE | re.DOTALL,
)
_FENCE = re.compile(r"^\s*(?:```|~~~)", re.MULTILINE)
_KINDS = ("sh", "text", "yaml", "browser")
# A proxy that has just opened its port may need a moment to know its apps.
_RETRY_SECONDS = 5.0
_VISIT = """
import time
from tests.support.first_login import HttpBrowser
end = time.monotonic() + {seconds}
while HttpBrowser({port}).open({url!r})[1].status != 200 and time.monotonic() < end:
    time.sleep(0.2)
place, page = HttpBrowser({port}).log_in({url!r}, "alice", {password!r})
assert (place, page.status) == ({url!r}, 200), (place, page)
assert "<dd>alice</dd>" in page.body.decode(), page
"""


class PageError(AssertionError):
    """Raised if a page is not right: its form, a command, or what the command prints."""


@dataclass(frozen=True)
class Step:
    """A step of a page.

    Attributes:
        kind: `sh` for commands, `yaml` for the new end of a file, `browser` for a visit.
        text: The text of the block, or the URL of the visit.
        title: The file of a block with YAML.
        mark: `not run` or `run by`, if the reader leaves the block out.
        reason: The reason for the mark.
        expected: The lines that the commands print; `...` stands for any text.
    """

    kind: str
    text: str
    title: str = ""
    mark: str = ""
    reason: str = ""
    expected: str = ""

    @property
    def commands(self) -> list[str]:
        """The commands of a block; a line that ends with a backslash, `&&` or `|` is continued."""
        lines = re.sub(r"\\\n\s*|(?<=&&|.\|)\n\s*", " ", self.text).splitlines()
        return [line for line in lines if line.strip() and not line.startswith("#")]


def steps(page: str) -> list[Step]:
    """Return the steps of a page in Markdown, in their order.

    Raises:
        PageError: A block is of another kind, or its fence is indented or not closed.
    """
    found: list[Step] = []
    for match in _STEP.finditer(page):
        parts = {name: text or "" for name, text in match.groupdict().items()}
        url = parts.pop("url")
        step = Step("browser", url) if url else Step(**parts)
        if step.kind not in _KINDS:
            raise PageError(f"write ```sh, ```text or ```yaml before this block:\n{step.text}")
        if step.kind != "text":
            found.append(step)
        elif not found or found[-1].kind != "sh" or found[-1].expected:
            raise PageError(f"no commands print this text:\n{step.text}")
        else:
            found[-1] = replace(found[-1], expected=step.text)
    blocks = sum(match["url"] is None for match in _STEP.finditer(page))
    if len(_FENCE.findall(page)) != 2 * blocks:
        raise PageError("a fence is indented or not closed")
    return found


def section(page: str, title: str) -> str:
    """Return the text below a heading of the second level, up to the next such heading."""
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def prints(output: str, expected: str) -> bool:
    """Return True if the expected lines are in the output, in this order."""
    lines = iter(output.splitlines())
    patterns = [
        ".*".join(map(re.escape, line.strip().split("...")))
        for line in expected.splitlines()
        if line.strip()
    ]
    return all(any(re.fullmatch(rf"\s*{p}\s*", line) for line in lines) for p in patterns)


@dataclass
class Reader:
    """Does the steps of pages at a clean machine.

    Attributes:
        machine: The machine.
        substitutions: Texts in commands that must be others here.
        keep_running: Commands that keep the terminal, with their last line. The reader opens
            another terminal for what follows.
    """

    machine: CleanMachine
    substitutions: Mapping[str, str]
    keep_running: Mapping[str, str]

    def follow(self, page: str) -> int:
        """Do the steps of a page; return the number of blocks with commands that were run.

        Raises:
            PageError: A command fails, prints something else, or a visit leads to another page.
        """
        done = [step for step in steps(page) if not step.mark]
        for step in done:
            if step.kind == "sh":
                self._type(step)
            elif step.kind == "yaml":
                self._edit(step)
            else:
                self._visit(step.text)
        return sum(step.kind == "sh" for step in done)

    def _type(self, step: Step) -> None:
        repeatable = all(command.startswith("curl ") for command in step.commands)
        end = time.monotonic() + _RETRY_SECONDS
        while not (result := self._typed(step))[0]:
            if not repeatable or time.monotonic() > end:
                raise PageError(f"{step.text}\nprints\n{result[1]}\nexpected\n{step.expected}")
            time.sleep(0.2)

    def _typed(self, step: Step) -> tuple[bool, str]:
        """Type the commands of a block; return whether all is as expected, and the output."""
        output = ""
        for command in map(self._substituted, step.commands):
            mark = self.keep_running.get(command)
            machine = self.machine
            result = machine.run_elsewhere(command, mark) if mark else machine.run(command)
            output += result.output
            if result.status:
                return False, f"{output}\nexit status {result.status}"
        return prints(output, step.expected), output

    def _substituted(self, command: str) -> str:
        for old, new in self.substitutions.items():
            command = command.replace(old, new)
        return command

    def _edit(self, step: Step) -> None:
        """Replace the last section of a file, which the block has anew."""
        file = self.machine.home / step.title
        key = step.text.partition("\n")[0]
        before, found, _ = file.read_text().partition(f"\n{key}\n")
        if not found:
            raise PageError(f"{step.title} has no line {key}")
        file.write_text(f"{before}\n{step.text}")

    def _visit(self, url: str) -> None:
        port = int(re.sub(r"^http://localhost:(\d+)/.*$", r"\1", url))
        code = _VISIT.format(port=port, url=url, password=PASSWORD, seconds=_RETRY_SECONDS)
        self.machine.python(code)
