"""Output of checks: a line or a JSON object for each result, and the exit status."""

from collections.abc import Sequence
from typing import Any, NoReturn

import click

from authgw.cli import output
from authgw.doctor.findings import CheckResult, Grade


def print_results(results: Sequence[CheckResult], *, as_json: bool) -> NoReturn:
    """Print the results, and exit with 1 if any of them is a problem."""
    status = status_of(results)
    if as_json:
        output.json_array(map(result_as_json, results), status=status)
    else:
        for result in results:
            output.line(str(result), status=status)
    raise click.exceptions.Exit(status)


def status_of(results: Sequence[CheckResult]) -> int:
    """Return the exit status: 1 if any result is a problem, else 0."""
    return int(any(result.grade is Grade.PROBLEM for result in results))


def result_as_json(result: CheckResult) -> dict[str, Any]:
    """Return a result with the fields of its JSON object."""
    return {"severity": result.grade.value, "part": result.part, "message": result.text}
