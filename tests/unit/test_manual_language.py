"""Rules of language of the manual, the README files and the changelog: see CONTRIBUTING.md."""

import re

import pytest

from tests.support.processes import ROOT

_PAGES = (
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "examples").rglob("README.md"),
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    ROOT / "bench" / "README.md",
)
_NAMES = sorted(str(page.relative_to(ROOT)) for page in _PAGES)
# "one" in 1,000 words; a page may have a single further "one", since some pages are short.
_MAX_ONES = 2.0
# Texts from before these rules. Remove a page here once it is rewritten; it may not get worse.
_OLDER = {"CHANGELOG.md": 7.0, "docs/reference/configuration.md": 8.5}
# Sections that a command writes between markers, code, comments and the targets of links.
_GENERATED = re.compile(r"<!-- ([a-z]+) -->.*?<!-- end of \1 -->", re.DOTALL)
_NO_PROSE = re.compile(r"^```.*?^```|`[^`]*`|<!--.*?-->|\]\([^)]*\)", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
# A heading names its subject, or what to do: it is neither a clause nor a question.
_CLAUSE = re.compile(
    r"(?:What|Whether|That|Who|Whom|Whose|Whoever|How(?!-to)|It|Is|Are|Does)\b|.*\?$"
)
_WORDS = {
    "log-in": "login (noun), log in (verb)",
    "log-ins": "logins",
    "log-out": "logout (noun), log out (verb)",
    "log-outs": "logouts",
    "back-up": "backup (noun), back up (verb)",
    "back-ups": "backups",
    "people": "users",
    "person": "user",
    "persons": "users",
    "folder": "directory",
    "folders": "directories",
    "whoever": "name the client or user",
    "nobody": "no user, no client",
    "alive": "active, valid",
    "dead": "ended, invalid",
    "dies": "fails, ends",
}


def prose_of(text: str) -> str:
    """Return the sentences and headings of a page in Markdown."""
    return _NO_PROSE.sub(" ", _GENERATED.sub(" ", text))


def prose(name: str) -> str:
    """Return the prose of a page; of the changelog only the section Unreleased."""
    text = (ROOT / name).read_text()
    if name == "CHANGELOG.md":
        text = text.partition("\n## Unreleased\n")[2].partition("\n## ")[0]
    return prose_of(text)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z'-]+", text.lower())


def clauses(text: str) -> list[str]:
    """Return the headings that are a clause or a question."""
    return [heading for heading in _HEADING.findall(text) if _CLAUSE.match(heading)]


@pytest.mark.parametrize("name", _NAMES)
def test_headings_are_noun_phrases_or_imperatives(name: str) -> None:
    assert clauses(prose(name)) == []


@pytest.mark.parametrize("name", _NAMES)
def test_sentences_name_things_instead_of_one(name: str) -> None:
    found = words(prose(name))
    assert found
    ones = sum(word in ("one", "ones") for word in found)
    assert 1000 * (ones - 1) / len(found) < _OLDER.get(name, _MAX_ONES)


@pytest.mark.parametrize("name", [name for name in _NAMES if name not in _OLDER])
def test_words_are_those_of_the_project(name: str) -> None:
    found = {word: _WORDS[word] for word in words(prose(name)) if word in _WORDS}
    assert not found, "write the words on the right"


@pytest.mark.parametrize("name", [name for name in _NAMES if name not in _OLDER])
def test_sentences_are_without_is_no(name: str) -> None:
    assert re.findall(r"\bis (?:no|none)\b.{0,40}", prose(name)) == []


def test_the_check_finds_clauses_and_skips_code() -> None:
    page = "# Backup\n\n## What is lost?\n\n```\n# What code says\n```\n\n## Is it well?\n"
    assert clauses(prose_of(page)) == ["What is lost?", "Is it well?"]
    table = "<!-- plan -->\n| one |\n<!-- end of plan -->"
    assert words(prose_of(f"a `one` [b](one.md) {table} c")) == ["a", "b", "c"]
