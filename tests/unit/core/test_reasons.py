"""The table of reasons: complete, and the only place that knows a code's properties."""

import ast
from collections.abc import Iterator
from pathlib import Path

import authgw
from authgw.core import errors
from authgw.core.errors import AuthgwError
from authgw.core.model import Verdict
from authgw.core.reasons import REASONS, refusal_headers

PACKAGE = Path(authgw.__file__).parent
# Arguments that are codes: of a decision or match by position, of others by name.
_POSITIONS = {"Decision": 1, "Match": 1, "FurtherTarget": 0, "_respond": 1}
_KEYWORDS = {"reason", "code", "why"}


def _trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield str(path.relative_to(PACKAGE)), ast.parse(path.read_text())


def _text(node: ast.expr) -> str:
    """Return the text of a literal, empty for any other expression."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _codes(tree: ast.Module) -> Iterator[str]:
    """Yield the literals of a module that stand where a code is expected."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            position = _POSITIONS.get(name)
            if position is not None and len(node.args) > position:
                yield _text(node.args[position])
            yield from (_text(each.value) for each in node.keywords if each.arg in _KEYWORDS)
        elif isinstance(node, ast.Compare):
            names = {getattr(each, "attr", "") for each in (node.left, *node.comparators)}
            if names & {"code", "reason"}:
                yield from map(_text, (node.left, *node.comparators))


def test_each_error_class_has_its_own_reason() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, AuthgwError) and kind is not AuthgwError
    ]
    codes = [vars(kind)["code"] for kind in kinds]
    assert len(codes) == len(set(codes))
    assert set(codes) <= set(REASONS)


def test_every_code_in_the_source_is_in_the_table() -> None:
    found = {(name, code) for name, tree in _trees() for code in _codes(tree) if code}
    assert {code for _, code in found} >= {"no_rule", "not_permitted"}
    assert {(name, code) for name, code in found if code not in REASONS} == set()


def test_no_other_table_is_keyed_by_codes() -> None:
    def is_table(node: ast.AST) -> bool:
        if isinstance(node, ast.Dict):
            texts = [_text(key) for key in node.keys if key is not None]
        elif isinstance(node, ast.Set | ast.Tuple | ast.List):
            texts = [_text(each) for each in node.elts]
        else:
            return False
        return len(REASONS.keys() & set(texts)) > 1

    tables = {
        f"{name}:{node.lineno}"
        for name, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.expr) and is_table(node) and name != "core/reasons.py"
    }
    assert tables == set()


def test_each_code_is_raised_or_decided_somewhere() -> None:
    texts = {
        text
        for name, tree in _trees()
        if name != "core/reasons.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.expr) and (text := _text(node))
    }
    assert set(REASONS) - texts == set()


def test_each_401_has_a_challenge_and_no_other_status_has() -> None:
    for code, reason in REASONS.items():
        assert (reason.oauth_error is not None) == (
            reason.status == 401 and code != "client_unknown"
        )
        assert ("WWW-Authenticate" in refusal_headers(code)) == (reason.status == 401)
    assert REASONS["client_unknown"].challenge == 'Basic realm="authgw"'
    assert REASONS["token_missing"].challenge == 'Bearer realm="authgw"'


def test_refusal_headers_of_an_outage_and_of_a_throttled_login() -> None:
    assert refusal_headers("store_unavailable", request_id="r") == {
        "X-Authgw-Reason": "store_unavailable",
        "Cache-Control": "no-store",
        "X-Request-ID": "r",
        "Retry-After": "1",
    }
    assert refusal_headers("too_busy", retry_after=2.5)["Retry-After"] == "3"


def test_only_a_401_leads_to_the_login_page() -> None:
    for reason in REASONS.values():
        assert (reason.verdict is Verdict.LOGIN) == (reason.status == 401)
        assert reason.verdict is not Verdict.ALLOW
