"""Imports point inwards and never in a circle; the core imports nothing that does I/O.

The contracts are those of import-linter in pyproject.toml.
"""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# It only gets smaller: fix the import, and subtract 1.
EXCEPTIONS = 0
# Further packages of the standard library must be as pure as these: no clock, files, network.
ALLOWED_IN_CORE = {
    "authgw.core",
    "base64",
    "binascii",
    "collections",
    "contextlib",
    "cryptography",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",
    "hmac",
    "idna",
    "ipaddress",
    "itertools",
    "json",
    "jwt",
    "math",
    "operator",
    "re",
    "re2",
    "sys",
    "typing",
    "unicodedata",
    "urllib.parse",
}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages and the contracts, to be changed."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "authgw", tmp_path / "authgw")
    return tmp_path


def append(module: Path, line: str) -> None:
    module.write_text(f"{module.read_text()}\n{line}\n")


def test_every_contract_is_kept() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout
    assert re.search(r"Contracts: 3 kept, 0 broken", result.stdout)


@pytest.mark.parametrize(
    ("module", "line", "violation"),
    [
        (
            "core/model.py",
            "import authgw.storage.clock",
            "core is not allowed to import authgw.sto",
        ),
        (
            "dialects/nginx.py",
            "import authgw.web.html",
            "dialects is not allowed to import authgw.w",
        ),
        (
            "identity/totp.py",
            "import authgw.config.schema",
            "is not allowed to import authgw.config",
        ),
        ("forward_auth/caller.py", "import aiohttp", "is not allowed to import aiohttp"),
        ("app.py", "import authgw.doctor.findings", "is not allowed to import authgw.doctor"),
        ("core/networks.py", "import authgw.core.explain", "No cycles are allowed in authgw.core"),
        (
            "core/model.py",
            "def late():\n    import authgw.web.html",
            "not allowed to import authgw.web",
        ),
        ("fresh.py", "import authgw.core.model", "fresh"),
    ],
)
def test_a_wrong_import_is_found(copy: Path, module: str, line: str, violation: str) -> None:
    (copy / "authgw" / module).touch()
    append(copy / "authgw" / module, line)
    result = lint_imports(copy)
    assert result.returncode == 1
    assert violation in result.stdout


def test_exceptions_only_get_fewer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    ignored = [
        ignored_import
        for c in contracts["contracts"]
        for ignored_import in c.get("ignore_imports", [])
    ]
    assert len(ignored) == EXCEPTIONS


def imported(source: str) -> Iterator[str]:
    """Yield the modules that this source imports, or `module.name` for a name from a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are written in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def not_allowed_in_core(source: str) -> list[str]:
    """Return forbidden imports of the core; all parts of an allowed package are allowed."""
    allowed = tuple(f"{name}." for name in ALLOWED_IN_CORE)
    return [name for name in imported(source) if not f"{name}.".startswith(allowed)]


def test_the_core_imports_only_what_is_pure() -> None:
    modules = list((ROOT / "authgw/core").glob("**/*.py"))
    assert modules
    for module in modules:
        assert not not_allowed_in_core(module.read_text()), module


def test_nothing_is_allowed_in_the_core_that_it_does_not_need() -> None:
    names = {
        f"{name}."
        for module in (ROOT / "authgw/core").glob("**/*.py")
        for name in imported(module.read_text())
    }
    for allowed in ALLOWED_IN_CORE:
        assert any(name.startswith(f"{allowed}.") for name in names), allowed


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "import os.path",
        "from urllib.request import urlopen",
        "from asyncio import run",
        "import aiohttp",
        "from authgw.storage import clock",
        "import redis",
        "import socket as s",
    ],
)
def test_what_does_input_or_output_is_found(line: str) -> None:
    assert not_allowed_in_core(line)
