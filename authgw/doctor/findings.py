"""Results of the checks of an installation: a line each, with the remedy."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from authgw.core.errors import OperatorError
from authgw.files.file_errors import file_error

# Errors of reading a file or a setting whose message is a sentence for the operator.
REPORTED_ERRORS = (OperatorError, OSError)


class Grade(Enum):
    """Severity of a result; with a problem the gateway cannot work."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check of a part of the installation."""

    grade: Grade
    part: str
    text: str

    def __str__(self) -> str:
        return f"{self.grade.value:8} {self.part}: {self.text}"


def ok(part: str, text: str) -> CheckResult:
    """Make a result about a part that is in order."""
    return CheckResult(Grade.OK, part, text)


def warning(part: str, text: str) -> CheckResult:
    """Make a result about a part that works but should be reviewed."""
    return CheckResult(Grade.WARNING, part, text)


def problem(part: str, text: str) -> CheckResult:
    """Make a result about a part that does not work."""
    return CheckResult(Grade.PROBLEM, part, text)


def error_text(error: Exception) -> str:
    """Return the message of an error of `REPORTED_ERRORS`, with a remedy if a file is its cause."""
    if isinstance(error, OSError) and error.filename is not None:
        return file_error(Path(os.fsdecode(error.filename)), error)
    return str(error)


def error_messages(*checks: Callable[[], object]) -> Iterator[str]:
    """Run all checks and yield the message of each error, so that none of them hides another."""
    for check in checks:
        try:
            check()
        except REPORTED_ERRORS as error:
            yield error_text(error)
