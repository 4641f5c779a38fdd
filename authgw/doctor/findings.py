"""What a look at an installation finds: one line each, and what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from authgw.core.errors import OperatorError

# What a look at a file or a setting is refused with, each with a sentence for its reader.
REFUSALS = (OperatorError, OSError)


class Grade(Enum):
    """How bad it is; a problem is what keeps the gateway from doing its work."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One finding about one part of the installation."""

    grade: Grade
    part: str
    text: str

    def __str__(self) -> str:
        return f"{self.grade.value:8} {self.part}: {self.text}"


def ok(part: str, text: str) -> CheckResult:
    """Something is as it should be."""
    return CheckResult(Grade.OK, part, text)


def warning(part: str, text: str) -> CheckResult:
    """Something works and is worth a look."""
    return CheckResult(Grade.WARNING, part, text)


def problem(part: str, text: str) -> CheckResult:
    """Something does not work."""
    return CheckResult(Grade.PROBLEM, part, text)


def refusals(*looks: Callable[[], object]) -> Iterator[str]:
    """What each of these looks is refused for, so that one refusal hides no other."""
    for look in looks:
        try:
            look()
        except REFUSALS as error:
            yield str(error)
