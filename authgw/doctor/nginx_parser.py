"""The output of `nginx -T` as one tree of blocks, with includes resolved as NGINX resolves them.

The dump holds the text of each file once, in the order in which NGINX opened them, below a line
`# configuration file NAME:`. Such a line begins a file only where a file can begin (a comment
between directives, in no block) and if an include of the files before it leads to that name.
"""

import fnmatch
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import crossplane
from crossplane.errors import NgxParserBaseException

_HEADER = re.compile(r"# configuration file (.+):")
_ESCAPE = re.compile(r"\\([\"'\\tnr])")
_ESCAPED = {"t": "\t", "n": "\n", "r": "\r"}
_GLOB = re.compile(r"[*?\[]")

_Token = tuple[str, int, bool]


class NginxDumpError(ValueError):
    """A file that is not the output of `nginx -T`; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive without a block."""

    file: str
    line: int
    name: str
    args: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.name, *self.args))


@dataclass(slots=True, eq=False)
class Block:
    """One block of the configuration with the directives that stand in it."""

    file: str
    line: int
    name: str
    args: tuple[str, ...]
    above: "Block | None" = None
    own: list[Directive] = field(default_factory=list)
    below: "list[Block]" = field(default_factory=list)

    def __str__(self) -> str:
        return " ".join((self.name, *self.args))

    def named(self, *names: str) -> list[Directive]:
        """Return the directives of these names that stand in this block itself."""
        return [each for each in self.own if each.name in names]

    def inherited(self, name: str) -> list[Directive]:
        """Return this level's, else those of the nearest level above that has any."""
        here = self.named(name)
        return here or (self.above.inherited(name) if self.above else [])

    def every(self) -> "Iterator[Block]":
        """Iterate over this block and all blocks in it."""
        yield self
        for block in self.below:
            yield from block.every()

    def outwards(self) -> "Iterator[Block]":
        """Iterate over this block and those around it, the nearest first."""
        nearest: Block | None = self
        while nearest is not None:
            yield nearest
            nearest = nearest.above

    def nearest(self, name: str) -> "Block | None":
        """Return this block, or the nearest around it, that has this name."""
        return next((block for block in self.outwards() if block.name == name), None)


@dataclass(slots=True)
class _Statement:
    """A directive as written; `body` is None where it has no block."""

    line: int
    words: list[str]
    body: "list[_Statement] | None" = None


@dataclass(slots=True)
class _Files:
    """The files of a dump by name; relative includes start at the directory of the first."""

    statements: dict[str, list[_Statement]]
    prefix: str
    wanted: list[str] = field(default_factory=list)

    def want(self, words: Sequence[str]) -> None:
        """Remember the target of an include, so that its file can begin."""
        if len(words) == 2 and words[0] == "include":
            self.wanted.append(self.full(words[1]))

    def full(self, name: str) -> str:
        return name if name.startswith("/") else self.prefix + name

    def is_wanted(self, name: str) -> bool:
        return any(_leads_to(target, name) for target in self.wanted)

    def included(self, words: Sequence[str], file: str, line: int) -> list[str]:
        """Return the names of the files that an include stands for, in NGINX's order.

        Raises:
            NginxDumpError: the dump lacks the file.
        """
        target = self.full(words[1])
        if _GLOB.search(target):
            found = [name for name in self.statements if _leads_to(target, name)]
            return sorted(found, key=lambda name: name.encode("utf-8", "surrogateescape"))
        if target not in self.statements:
            raise NginxDumpError(
                f"lacks {target}, which {file}:{line} includes: write it again with "
                "`nginx -T > FILE`, whole"
            )
        return [target]


def parsed(dump: str) -> Block:
    """Parse the whole configuration to one tree.

    Raises:
        NginxDumpError: it is not the output of `nginx -T`, or not all of it.
    """
    # NGINX reads a carriage return as a space; the lexer would end a comment at it.
    lines = dump.replace("\r", " ").split("\n")
    start = next((number for number, text in enumerate(lines) if _HEADER.fullmatch(text)), None)
    if start is None:
        raise NginxDumpError("is not the output of `nginx -T`: write `nginx -T > FILE` first")
    files = _split(lines[start:])
    name = next(iter(files.statements))
    top = Block(name, 0, "main", ())
    _fill(top, files, (name,))
    return top


def _split(lines: list[str]) -> _Files:
    """Parse the statements of each file; line numbers are those of the files."""
    first = _HEADER.fullmatch(lines[0])
    assert first is not None  # noqa: S101  the caller starts there
    files = _Files({first[1]: []}, first[1][: first[1].rfind("/") + 1])
    open_blocks = [files.statements[first[1]]]
    words: list[str] = []
    began, word_line = 1, 0
    started = {first[1]: 1}
    for word, line, quoted in _tokens(lines):
        if word.startswith("#") and not quoted:
            name = _begun(word, lines[line - 1], files)
            if name and not words and len(open_blocks) == 1:
                _refuse_second(name, started, line)
                if name not in files.statements:
                    began, started[name] = line, line
                    open_blocks = [files.statements.setdefault(name, [])]
        elif quoted or word not in ("{", "}", ";"):
            word_line = word_line if words else line - began
            words.append(_unescaped(word))
        elif word == "}":
            open_blocks.pop()
        elif words:
            statement = _Statement(word_line, words, [] if word == "{" else None)
            open_blocks[-1].append(statement)
            files.want(words)
            if statement.body is not None:
                open_blocks.append(statement.body)
            words = []
        if not open_blocks:
            raise NginxDumpError(f'has a "}}" too many in its line {line}: write it again')
    if words or len(open_blocks) > 1:
        raise NginxDumpError(
            "ends within a directive: write it again with `nginx -T > FILE`, whole"
        )
    return files


def _tokens(lines: list[str]) -> Iterator[_Token]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "dump")
        path.write_text("\n".join([*lines, ""]), encoding="utf-8", errors="replace")
        try:
            yield from crossplane.lex(str(path))
        except NgxParserBaseException as error:
            said = f"cannot be parsed ({error.strerror} in its line {error.lineno})"
            raise NginxDumpError(f"{said}: write it again with `nginx -T > FILE`, whole") from None


def _begun(comment: str, line: str, files: _Files) -> str:
    """Return the name of the file that begins at this comment, or nothing."""
    match = _HEADER.fullmatch(comment)
    if not match or comment != line:
        return ""
    return match[1] if match[1] in files.statements or files.is_wanted(match[1]) else ""


def _refuse_second(name: str, started: dict[str, int], line: int) -> None:
    # The first file's own name in its first comment is a copy of NGINX's line and harmless.
    if started.get(name, 1) != 1:
        raise NginxDumpError(
            f"names {name} in its lines {started[name]} and {line}, so that where this file begins "
            "cannot be known: remove the comment that looks like a line of `nginx -T`"
        )


def _fill(block: Block, files: _Files, opened: tuple[str, ...]) -> None:
    _place(block, files.statements[opened[-1]], files, opened)


def _place(
    block: Block, statements: list[_Statement], files: _Files, opened: tuple[str, ...]
) -> None:
    file = opened[-1]
    for each in statements:
        name, args = each.words[0], tuple(each.words[1:])
        if each.body is not None:
            below = Block(file, each.line, name, args, block)
            block.below.append(below)
            _place(below, each.body, files, opened)
        elif name == "include" and len(args) == 1:
            for included in files.included(each.words, file, each.line):
                if included in opened:
                    raise NginxDumpError(
                        f"holds {included}, which {file}:{each.line} includes anew"
                    )
                _fill(block, files, (*opened, included))
        else:
            block.own.append(Directive(file, each.line, name, args))


def _unescaped(word: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), word)


def _leads_to(target: str, name: str) -> bool:
    """Return true if an include of `target` opens the file `name` (glob(3), without flags)."""
    if not _GLOB.search(target):
        return target == name
    wanted, given = (
        [part for part in path.split("/") if part] or [path] for path in (target, name)
    )
    return len(wanted) == len(given) and all(map(_matches, wanted, given))


def _matches(pattern: str, part: str) -> bool:
    if part.startswith(".") and not pattern.startswith("."):
        return False
    posix = re.sub(r"\\(.)", r"[\1]", pattern).replace("[^", "[!")
    return fnmatch.fnmatchcase(part, posix)
