"""The output of `nginx -T` as one tree of blocks, and what a finding in it is."""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import crossplane

_FILE = re.compile(r"^# configuration file (?P<name>.+):$", re.MULTILINE)
_INCLUDE = re.compile(r"^(\s*(?:.*[;{]\s*)?include\s+)([^;\s]+)", re.MULTILINE)


class DumpRefused(ValueError):
    """A file that is not the output of `nginx -T`; the message says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, where, and the line to write; a hole lets somebody in."""

    file: str
    line: int
    what: str
    remedy: str
    hole: bool

    def __str__(self) -> str:
        kind = "hole" if self.hole else "fault"
        return f"{self.file}:{self.line}: {kind}: {self.what} {self.remedy}"


@dataclass(slots=True)
class Block:
    """One block of the configuration with the directives that stand in it."""

    file: str
    line: int
    name: str
    args: list[str]
    above: "Block | None" = None
    own: list[dict[str, Any]] = field(default_factory=list)
    below: "list[Block]" = field(default_factory=list)

    def named(self, directive: str) -> list[dict[str, Any]]:
        return [one for one in self.own if one["directive"] == directive]

    def inherited(self, directive: str) -> list[dict[str, Any]]:
        """This level's, else those of the nearest level above that has any."""
        here = self.named(directive)
        return here or (self.above.inherited(directive) if self.above else [])

    def every(self) -> "Iterator[Block]":
        yield self
        for block in self.below:
            yield from block.every()

    def finding(self, what: str, remedy: str, *, hole: bool = True, at: Any = None) -> Finding:
        where = at or {"file": self.file, "line": self.line}
        return Finding(where["file"], where["line"], what, remedy, hole)


def parsed(dump: str) -> Block:
    """The whole configuration as one tree, with includes resolved as nginx did."""
    names = [match["name"] for match in _FILE.finditer(dump)]
    if not names:
        raise DumpRefused("is not the output of `nginx -T`: write `nginx -T > FILE` first")
    # Each file begins on the line after the one that names it.
    texts = [text.removeprefix("\n") for text in _FILE.split(dump)[2::2]]
    with tempfile.TemporaryDirectory() as folder:
        mapped = _spread(Path(folder), names, texts)
        payload = crossplane.parse(str(mapped[names[0]]), check_ctx=False, check_args=False)
        back = {str(path): name for name, path in mapped.items()}
        if payload["errors"]:
            raise DumpRefused(str(payload["errors"][0]["error"]).replace(folder, ""))
        files = payload["config"]
        top = Block(names[0], 0, "main", [])
        _fill(top, files[0]["parsed"], files, files[0]["file"], back)
    return top


def _spread(folder: Path, names: list[str], texts: list[str]) -> dict[str, Path]:
    """Write each file of the dump below a folder, with its includes pointing there."""
    root = Path(names[0]).parent
    mapped = {}
    for name, text in zip(names, texts, strict=True):
        path = folder / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_INCLUDE.sub(_moved(folder, root), text))
        mapped[name] = path
    return mapped


def _moved(folder: Path, root: Path) -> Any:
    def move(match: "re.Match[str]") -> str:
        wanted = Path(match[2].strip("\"'"))
        absolute = wanted if wanted.is_absolute() else root / wanted
        return f"{match[1]}{folder}/{str(absolute).lstrip('/')}"

    return move


def _fill(block: Block, read: list[Any], files: list[Any], file: str, back: dict[str, str]) -> None:
    for one in read:
        if one["directive"] == "include":
            for index in one.get("includes", ()):
                _fill(block, files[index]["parsed"], files, files[index]["file"], back)
        elif "block" in one:
            below = Block(back[file], one["line"], one["directive"], one["args"], block)
            block.below.append(below)
            _fill(below, one["block"], files, file, back)
        else:
            block.own.append({**one, "file": back[file]})
