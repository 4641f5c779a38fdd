"""Messages for text that is not valid YAML: the mistake and its remedy, without any value.

The parser's own message may quote a part of a value, and a value may be a secret.
"""

import re

import yaml

_KEY = re.compile(r"(?:^|[{,\[]|-\s)\s*([A-Za-z_][\w-]*)\s*:(?=\s)")
_KEY_AT_START = re.compile(r"\s*(?:-\s+)*[A-Za-z_][\w-]*\s*:")
_VALUE_LIKE_COMMENT = re.compile(r"([A-Za-z_][\w-]*)\s*:\s+#[^\s#]")
# Characters with a special meaning in YAML at the beginning of a value.
_SPECIAL = "*&!%@`|>[]{},#?"
_QUOTED = re.compile(r" ?'([^']*)'")
_INDENTATION = ("<block mapping start>", "<block sequence start>", "'-'", "'?'")


def describe(error: yaml.MarkedYAMLError, lines: list[str]) -> tuple[int, str]:
    """Return the line of the mistake, from 1, and the mistake with its remedy."""
    parts = (error.context, error.problem)
    message = " ".join(_QUOTED.sub(_without_value, part) for part in parts if part)
    line, column = _position(error.problem_mark)
    start, _ = _position(error.context_mark or error.problem_mark)
    text = _structure(message, lines, line, column, start)
    if text:
        return line + 1, text
    character = _character(error, lines)
    return line + 1, _value_to_quote(message, lines[: line + 1], column, character)


def _structure(message: str, lines: list[str], line: int, column: int, start: int) -> str:
    """Return the mistake if it is one of indentation, colons, quotes or brackets, else ""."""
    here = lines[line] if line < len(lines) else ""
    comment_like = [*filter(None, map(_VALUE_LIKE_COMMENT.search, lines[: line + 1]))]
    if "flow" in message and comment_like:
        return f"quote the value of `{comment_like[-1][1]}`, which begins with #"
    if "\t" in here[: column + 1]:
        return "a tab indents this line: indent with spaces, not tabs"
    if "single document" in message:
        return "a second document begins here: keep one document"
    if "quoted scalar" in message and "end of stream" in message:
        return f"the quote that opens in line {start + 1} is not closed: close it"
    if "could not find expected ':'" in message:
        return f"line {start + 1} has no colon after its key: write `KEY: VALUE`"
    if "mapping values are not allowed" in message:
        return _unexpected_colon(lines, line, column)
    if "<block end>" in message and any(token in message for token in _INDENTATION):
        return (
            "this line is not indented as the lines before it: begin all keys of a section in the "
            "same column"
        )
    return ""


def _unexpected_colon(lines: list[str], line: int, column: int) -> str:
    first_key = _KEY_AT_START.match(lines[line])
    if line and first_key and first_key.end() == column + 1:
        before = max((n for n in range(line) if lines[n].strip()), default=0)
        return (
            f"line {before + 1} has no colon after its key, or this line is indented too far: "
            "write `KEY: VALUE`, and begin all keys of a section in the same column"
        )
    keys = _KEY.findall(lines[line][:column]) or _KEY.findall(lines[line])
    return f"quote the value{_of(keys)}, which contains a colon and a space"


def _value_to_quote(message: str, lines: list[str], column: int, character: str) -> str:
    """Return the remedy for a value at `column` of the last line that YAML does not take as text.

    `character` is the special character that the value begins with, or empty.
    """
    if "found ':'" in message:
        return 'quote the value that begins with a colon, such as "::1"'
    if "escape character" in message:
        return (
            "a backslash in double quotes begins an escape: write the value in single quotes, "
            "where a backslash is a backslash"
        )
    if "expected ','" in message:
        return f"close the {character or 'bracket'}, or quote the value that begins with it"
    line_start = lines[-1][: column + 1]
    keys = _KEY.findall(line_start) or _KEY.findall(lines[-1])
    if character:
        return f"quote the value{_of(keys)}, which begins with {character}"
    return f"{message}: quote the value{_of(keys)}"


def _of(keys: list[str]) -> str:
    return f" of `{keys[-1]}`" if keys else ""


def _without_value(quoted: re.Match[str]) -> str:
    return quoted[0] if len(quoted[1]) == 1 or quoted[1].startswith("<") else ""


def _position(mark: yaml.Mark | None) -> tuple[int, int]:
    return (mark.line, mark.column) if mark else (0, 0)


def _character(error: yaml.MarkedYAMLError, lines: list[str]) -> str:
    """Return the special character at the beginning of the value, empty if it is not known."""
    line, column = _position(error.context_mark or error.problem_mark)
    character = lines[line][column : column + 1] if line < len(lines) else ""
    return character if character and character in _SPECIAL else ""
