"""Undocumented uses of aiohttp and redis-py stay in the two modules that have a test for each."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INTERNALS = {"authgw/web/aiohttp_internals.py", "authgw/storage/redis/redis_internals.py"}
# Modules whose names the libraries document.
DOCUMENTED = {
    "aiohttp",
    "aiohttp.web",
    "aiohttp.abc",
    "aiohttp.typedefs",
    "redis.asyncio",
    "redis.asyncio.client",
    "redis.backoff",
    "redis.exceptions",
}
# Names of documented modules without documentation of their own.
UNDOCUMENTED = {
    "EMPTY_PAYLOAD",
    "http_parser",
    "RequestHandler",
    "BaseSite",
    "AbstractStreamWriter",
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module but the two, by its path."""
    for path in sorted((ROOT / "authgw").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if name not in INTERNALS:
            yield name, ast.parse(path.read_text())


def is_of_library(module: str | None) -> bool:
    return (module or "").partition(".")[0] in ("aiohttp", "redis", "_aiohttp")


def undocumented_imports(tree: ast.Module) -> Iterator[str]:
    """Modules and names of the libraries that they do not document."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (
                each.name
                for each in node.names
                if is_of_library(each.name) and each.name not in DOCUMENTED
            )
        elif isinstance(node, ast.ImportFrom) and is_of_library(node.module):
            if node.module not in DOCUMENTED:
                yield str(node.module)
            names = {each.name for each in node.names}
            yield from (name for name in names if name in UNDOCUMENTED or name.startswith("_"))
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "web":
            yield from {node.attr} & UNDOCUMENTED


def private_attributes(tree: ast.Module) -> Iterator[str]:
    """Private attributes of other objects than `self`, except those of named tuples."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not re.match(r"_[a-z]", node.attr):
            continue
        if ast.unparse(node.value) not in ("self", "cls") and node.attr not in (
            "_asdict",
            "_replace",
        ):
            yield ast.unparse(node)


def own(source: type) -> set[str]:
    """Names that the classes of a library set on themselves, or define."""
    found = {name for name in dir(source) if not name.startswith("__")}
    for each in source.__mro__:
        if is_of_library(each.__module__):
            found |= set(re.findall(r"self\.(\w+)", inspect.getsource(each)))
    return found


def used_of_self(source: type) -> set[str]:
    """Names that a class uses on itself, or overrides."""
    used = re.findall(r"(?:self|super\(\))\.(\w+)", inspect.getsource(source))
    return {*used, *vars(source)}


def subclasses() -> Iterator[type]:
    """Yield the classes of ours that derive from a class of aiohttp or redis-py."""
    for name, _ in modules():
        module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
        for each in vars(module).values():
            is_ours = isinstance(each, type) and each.__module__ == module.__name__
            if is_ours and any(is_of_library(base.__module__) for base in each.__mro__):
                yield each


def test_only_two_modules_import_what_is_not_documented() -> None:
    found = {name: set(undocumented_imports(tree)) for name, tree in modules()}
    assert not {name: names for name, names in found.items() if names}


@pytest.mark.parametrize(
    "line",
    [
        "import aiohttp.http",
        "from aiohttp.http_exceptions import LineTooLong",
        "from aiohttp import EMPTY_PAYLOAD",
        "from aiohttp.web import _x",
        "class A(web.RequestHandler): ...",
        "from redis.asyncio.connection import Connection",
        "from redis.crc import key_slot",
    ],
)
def test_an_undocumented_import_is_found(line: str) -> None:
    assert list(undocumented_imports(ast.parse(line)))


def test_private_attributes_are_used_by_their_own_module_alone() -> None:
    found = {name: set(private_attributes(tree)) for name, tree in modules()}
    # Variables of a class's own type.
    assert {name: names for name, names in found.items() if names} == {
        "authgw/identity/user_entry.py": {"entry._unread"},
        "authgw/identity/users_watcher.py": {"before._bindings", "before._snapshot"},
    }


def test_private_attributes_of_the_libraries_are_neither_used_nor_taken() -> None:
    classes = list(subclasses())
    for each in classes:
        bases = [base for base in each.__mro__ if is_of_library(base.__module__)]
        private = {name for name in own(bases[0]) if name.startswith("_")} - {"_abc_impl"}
        assert not private & used_of_self(each), f"{each} shares private names with {bases[0]}"
