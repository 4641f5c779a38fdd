"""Parser for the output of `nginx -T`: a tree of blocks, with includes resolved as by NGINX.

The dump holds the text of each file once, in the order in which NGINX opened the files, below a
line `# configuration file NAME:`. Such a line begins a file only where a file can begin (a comment
between directives, outside all blocks) and if an include in an earlier file matches NAME.
"""

import fnmatch
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import crossplane
from crossplane.errors import NgxParserBaseException

_FILE_HEADER = re.compile(r"# configuration file (.+):")
_ESCAPE = re.compile(r"\\([\"'\\tnr])")
_ESCAPE_VALUES = {"t": "\t", "n": "\n", "r": "\r"}
_GLOB = re.compile(r"[*?\[]")

_Token = tuple[str, int, bool]


class NginxDumpError(ValueError):
    """Raised for a file that is not the complete output of `nginx -T`."""


@dataclass(frozen=True, slots=True)
class Directive:
    """A directive without a block."""

    file: str
    line: int
    name: str
    args: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.name, *self.args))


@dataclass(slots=True, eq=False)
class Block:
    """A block of the configuration with its own directives and the blocks within it."""

    file: str
    line: int
    name: str
    args: tuple[str, ...]
    parent: "Block | None" = None
    directives: list[Directive] = field(default_factory=list)
    children: "list[Block]" = field(default_factory=list)

    def __str__(self) -> str:
        return " ".join((self.name, *self.args))

    def named(self, *names: str) -> list[Directive]:
        """Return this block's own directives of these names."""
        return [each for each in self.directives if each.name in names]

    def inherited(self, name: str) -> list[Directive]:
        """Return this block's directives of a name, or those of the nearest ancestor with any."""
        own = self.named(name)
        return own or (self.parent.inherited(name) if self.parent else [])

    def walk(self) -> "Iterator[Block]":
        """Iterate over this block and all its descendants."""
        yield self
        for block in self.children:
            yield from block.walk()

    def with_ancestors(self) -> "Iterator[Block]":
        """Iterate over this block and its ancestors, innermost first."""
        block: Block | None = self
        while block is not None:
            yield block
            block = block.parent

    def nearest(self, name: str) -> "Block | None":
        """Return the innermost block of this name among this block and its ancestors."""
        return next((block for block in self.with_ancestors() if block.name == name), None)


@dataclass(slots=True)
class _Statement:
    """A directive as written; `body` is None for a directive without a block."""

    line: int
    words: list[str]
    body: "list[_Statement] | None" = None


@dataclass(slots=True)
class _DumpFiles:
    """The files of a dump by name; relative includes start at the first file's directory."""

    statements: dict[str, list[_Statement]]
    prefix: str
    include_targets: list[str] = field(default_factory=list)

    def register_include(self, words: Sequence[str]) -> None:
        """Record the target of an include, so that a matching file can begin later."""
        if len(words) == 2 and words[0] == "include":
            self.include_targets.append(self.absolute(words[1]))

    def absolute(self, name: str) -> str:
        return name if name.startswith("/") else self.prefix + name

    def is_included(self, name: str) -> bool:
        return any(_include_matches(target, name) for target in self.include_targets)

    def resolve_include(self, words: Sequence[str], file: str, line: int) -> list[str]:
        """Return the names of the files that an include opens, in NGINX's order.

        Raises:
            NginxDumpError: the dump lacks the file.
        """
        target = self.absolute(words[1])
        if _GLOB.search(target):
            names = [name for name in self.statements if _include_matches(target, name)]
            return sorted(names, key=lambda name: name.encode("utf-8", "surrogateescape"))
        if target not in self.statements:
            raise NginxDumpError(
                f"does not contain {target}, which {file}:{line} includes: write the whole "
                "output of `nginx -T > FILE` again"
            )
        return [target]


def parse_dump(dump: str) -> Block:
    """Parse the output of `nginx -T` and return the block of the main context.

    Raises:
        NginxDumpError: the text is not the output of `nginx -T`, or is incomplete.
    """
    # NGINX treats a carriage return as a space; the lexer would end a comment there.
    lines = dump.replace("\r", " ").split("\n")
    start = next((index for index, text in enumerate(lines) if _FILE_HEADER.fullmatch(text)), None)
    if start is None:
        raise NginxDumpError("is not the output of `nginx -T`: write `nginx -T > FILE` first")
    files = _split(lines[start:])
    name = next(iter(files.statements))
    top = Block(name, 0, "main", ())
    _add_file(top, files, (name,))
    return top


def _split(lines: list[str]) -> _DumpFiles:
    """Parse the statements of each file, with line numbers counted within the file."""
    first = _FILE_HEADER.fullmatch(lines[0])
    assert first is not None  # noqa: S101  the caller passes the lines from the first header on
    files = _DumpFiles({first[1]: []}, first[1][: first[1].rfind("/") + 1])
    open_blocks = [files.statements[first[1]]]
    words: list[str] = []
    first_line, word_line = 1, 0
    header_lines = {first[1]: 1}
    for word, line, quoted in _tokens(lines):
        if word.startswith("#") and not quoted:
            name = _file_starting_at(word, lines[line - 1], files)
            if name and not words and len(open_blocks) == 1:
                _reject_duplicate(name, header_lines, line)
                if name not in files.statements:
                    first_line, header_lines[name] = line, line
                    open_blocks = [files.statements.setdefault(name, [])]
        elif quoted or word not in ("{", "}", ";"):
            word_line = word_line if words else line - first_line
            words.append(_unescape(word))
        elif word == "}":
            open_blocks.pop()
        elif words:
            statement = _Statement(word_line, words, [] if word == "{" else None)
            open_blocks[-1].append(statement)
            files.register_include(words)
            if statement.body is not None:
                open_blocks.append(statement.body)
            words = []
        if not open_blocks:
            raise NginxDumpError(f'has a "}}" too many in its line {line}: write it again')
    if words or len(open_blocks) > 1:
        raise NginxDumpError(
            "ends within a directive: write the whole output of `nginx -T > FILE` again"
        )
    return files


def _tokens(lines: list[str]) -> Iterator[_Token]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "dump")
        path.write_text("\n".join([*lines, ""]), encoding="utf-8", errors="replace")
        try:
            yield from crossplane.lex(str(path))
        except NgxParserBaseException as error:
            reason = f"cannot be parsed ({error.strerror} in its line {error.lineno})"
            raise NginxDumpError(
                f"{reason}: write the whole output of `nginx -T > FILE` again"
            ) from None


def _file_starting_at(comment: str, line: str, files: _DumpFiles) -> str:
    """Return the name of the file that begins at this comment, or an empty string."""
    match = _FILE_HEADER.fullmatch(comment)
    if not match or comment != line:
        return ""
    return match[1] if match[1] in files.statements or files.is_included(match[1]) else ""


def _reject_duplicate(name: str, header_lines: dict[str, int], line: int) -> None:
    # A first file that begins with a copy of NGINX's line names itself twice, which is harmless.
    if header_lines.get(name, 1) != 1:
        raise NginxDumpError(
            f"names {name} in its lines {header_lines[name]} and {line}, so that where this file "
            "begins cannot be known: remove the comment that looks like a line of `nginx -T`"
        )


def _add_file(block: Block, files: _DumpFiles, include_stack: tuple[str, ...]) -> None:
    _add_statements(block, files.statements[include_stack[-1]], files, include_stack)


def _add_statements(
    block: Block, statements: list[_Statement], files: _DumpFiles, include_stack: tuple[str, ...]
) -> None:
    file = include_stack[-1]
    for each in statements:
        name, args = each.words[0], tuple(each.words[1:])
        if each.body is not None:
            child = Block(file, each.line, name, args, block)
            block.children.append(child)
            _add_statements(child, each.body, files, include_stack)
        elif name == "include" and len(args) == 1:
            for name in files.resolve_include(each.words, file, each.line):
                if name in include_stack:
                    raise NginxDumpError(
                        f"contains {name}, which {file}:{each.line} includes again"
                    )
                _add_file(block, files, (*include_stack, name))
        else:
            block.directives.append(Directive(file, each.line, name, args))


def _unescape(word: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPE_VALUES.get(match[1], match[1]), word)


def _include_matches(target: str, name: str) -> bool:
    """Return True if an include of `target` opens the file `name` (glob(3), without flags)."""
    if not _GLOB.search(target):
        return target == name
    patterns, parts = (
        [part for part in path.split("/") if part] or [path] for path in (target, name)
    )
    return len(patterns) == len(parts) and all(map(_part_matches, patterns, parts))


def _part_matches(pattern: str, part: str) -> bool:
    if part.startswith(".") and not pattern.startswith("."):
        return False
    posix = re.sub(r"\\(.)", r"[\1]", pattern).replace("[^", "[!")
    return fnmatch.fnmatchcase(part, posix)
