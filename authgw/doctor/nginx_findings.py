"""Findings about an NGINX configuration: kind, place, what follows, and the line to write."""

from dataclasses import dataclass
from enum import Enum

from authgw.doctor.nginx_parser import Block, Directive


class FindingKind(Enum):
    """Severity of a finding; all but FAULT end the command with status 1."""

    HOLE = "hole"  # somebody gets in, or something secret gets out
    PROBLEM = "problem"  # nobody gets in: the gateway cannot do its work
    FAULT = "fault"  # works, and is worth a look
    UNCHECKED = "not checked"  # the doctor does not know what this line does


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, where, and the line to write."""

    file: str
    line: int
    what: str
    remedy: str
    kind: FindingKind

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.kind.value}: {self.what} {self.remedy}".rstrip()


def hole(at: Block | Directive, what: str, remedy: str) -> Finding:
    """Make a finding that somebody gets in, or that something secret gets out."""
    return Finding(at.file, at.line, what, remedy, FindingKind.HOLE)


def problem(at: Block | Directive, what: str, remedy: str) -> Finding:
    """Make a finding that the gateway cannot do its work."""
    return Finding(at.file, at.line, what, remedy, FindingKind.PROBLEM)


def fault(at: Block | Directive, what: str, remedy: str) -> Finding:
    """Make a finding about something that works and is worth a look."""
    return Finding(at.file, at.line, what, remedy, FindingKind.FAULT)


def unchecked(at: Block | Directive, what: str, remedy: str = "") -> Finding:
    """Make a finding about a line whose effect the doctor does not know."""
    return Finding(at.file, at.line, what, remedy or "Look at it yourself.", FindingKind.UNCHECKED)
