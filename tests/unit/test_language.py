"""Rules of language of docstrings and comments: see CONTRIBUTING.md."""

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A noun clause where a docstring should name a thing, or begin with an imperative.
_OPENING = re.compile(r"(What|Whether|That|Who|Whom|Whose|How|Whoever)\b")
_IS_NO = re.compile(r"\bis (no|none)\b")
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
# Percent of docstrings with such an opening, "one" in 1,000 words, and texts with _IS_NO.
_MAX_OPENINGS = {"authgw": 0.0, "tests": 2.0, "bench": 0.0, "tools": 0.0}
_MAX_ONES = {"authgw": 2.0, "tests": 2.0, "bench": 1.0, "tools": 1.0}
_MAX_IS_NO = {"authgw": 0, "tests": 0, "bench": 0, "tools": 0}

Text = tuple[str, str]


def _docstrings(folder: str) -> Iterator[Text]:
    for path in _modules(folder):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
                yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", text


def _comments(folder: str) -> Iterator[Text]:
    for path in _modules(folder):
        with path.open("rb") as source:
            for token in tokenize.tokenize(source.readline):
                if token.type == tokenize.COMMENT:
                    yield f"{path.relative_to(ROOT)}:{token.start[0]}", token.string


def _modules(folder: str) -> Iterator[Path]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        if "node_modules" not in path.parts:
            yield path


def _texts(folder: str) -> list[Text]:
    return [*_docstrings(folder), *_comments(folder)]


@pytest.mark.parametrize("folder", _MAX_OPENINGS)
def test_docstrings_begin_with_a_noun_or_an_imperative(folder: str) -> None:
    docstrings = list(_docstrings(folder))
    assert docstrings
    found = [place for place, text in docstrings if _OPENING.match(text)]
    assert 100 * len(found) / len(docstrings) <= _MAX_OPENINGS[folder], found


@pytest.mark.parametrize("folder", _MAX_ONES)
def test_texts_name_things_instead_of_one(folder: str) -> None:
    words = [
        (place, word)
        for place, text in _texts(folder)
        for word in re.findall(r"[a-z']+", text.lower())
    ]
    found = [place for place, word in words if word in ("one", "ones")]
    assert 1000 * len(found) / len(words) < _MAX_ONES[folder], found


@pytest.mark.parametrize("folder", _MAX_IS_NO)
def test_texts_are_without_is_no(folder: str) -> None:
    found = [place for place, text in _texts(folder) if _IS_NO.search(text)]
    assert len(found) <= _MAX_IS_NO[folder], found
