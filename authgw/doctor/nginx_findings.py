"""Findings about an NGINX configuration: kind, place, consequence and the line to write."""

from dataclasses import dataclass
from enum import Enum

from authgw.doctor.nginx_parser import Block, Directive


class FindingKind(Enum):
    """Severity of a finding; all but FAULT end the command with status 1."""

    HOLE = "hole"  # unauthorized access, or disclosure of a secret
    PROBLEM = "problem"  # valid users are refused: the gateway cannot work
    FAULT = "fault"  # works, but should be reviewed
    UNCHECKED = "not checked"  # the effect of this line is unknown to the doctor


@dataclass(frozen=True, slots=True)
class Finding:
    """A defect, its place in the configuration and the line to write."""

    file: str
    line: int
    message: str
    remedy: str
    kind: FindingKind

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.kind.value}: {self.message} {self.remedy}".rstrip()


def hole(at: Block | Directive, message: str, remedy: str) -> Finding:
    """Make a finding about unauthorized access or the disclosure of a secret."""
    return Finding(at.file, at.line, message, remedy, FindingKind.HOLE)


def problem(at: Block | Directive, message: str, remedy: str) -> Finding:
    """Make a finding about a configuration with which the gateway cannot work."""
    return Finding(at.file, at.line, message, remedy, FindingKind.PROBLEM)


def fault(at: Block | Directive, message: str, remedy: str) -> Finding:
    """Make a finding about a line that works but should be reviewed."""
    return Finding(at.file, at.line, message, remedy, FindingKind.FAULT)


def unchecked(at: Block | Directive, message: str, remedy: str = "") -> Finding:
    """Make a finding about a line whose effect is unknown to the doctor."""
    return Finding(at.file, at.line, message, remedy or "Check it yourself.", FindingKind.UNCHECKED)
