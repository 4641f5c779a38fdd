"""Imports point inwards: an inner layer knows nothing of an outer one."""

import ast
from pathlib import Path

import authgw

ROOT = Path(authgw.__file__).parent
INWARDS = {
    "core": {"core"},
    "dialects": {"core", "dialects"},
    "storage": {"core", "storage"},
    "identity": {"core", "identity"},
    "web": {"core", "dialects", "identity", "service", "signin", "audit", "web"},
}
FORBIDDEN_IN_CORE = {"asyncio", "time", "os", "socket", "aiohttp", "redis", "loguru", "pathlib"}


def imported(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{a.name}" for a in node.names)}
    return found


def outward(layer: str, source: str) -> set[str]:
    layers = {name.split(".")[1] for name in imported(source) if name.startswith("authgw.")}
    return layers - INWARDS[layer]


def test_imports_point_inwards() -> None:
    for layer in INWARDS:
        modules = list((ROOT / layer).glob("*.py"))
        assert modules
        for module in modules:
            assert not outward(layer, module.read_text()), module


def test_the_service_knows_only_the_core_and_its_confirmations() -> None:
    for module, known in (("service.py", {"core", "confirming"}), ("confirming.py", {"core"})):
        layers = {
            name.split(".")[1]
            for name in imported((ROOT / module).read_text())
            if name.startswith("authgw.")
        }
        assert layers == known, module


def test_the_core_does_no_input_or_output() -> None:
    for module in (ROOT / "core").glob("*.py"):
        tops = {name.split(".")[0] for name in imported(module.read_text())}
        assert not tops & FORBIDDEN_IN_CORE, module


def test_the_check_can_fail() -> None:
    assert outward("core", "from authgw.storage.redis.store import RedisStore") == {"storage"}
    assert outward("dialects", "import authgw.web.login_pages") == {"web"}
