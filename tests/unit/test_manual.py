"""Links of the manual to files outside of docs, which MkDocs does not follow."""

import re
from pathlib import Path

from tests.support.processes import ROOT

_OURS = re.compile(r"https://github\.com/authgw/authgw/(?:blob|tree)/main/([^)\s#>\"]*)")
_RELATIVE = re.compile(r"\]\(((?:\.\./)+[^)#]+)")


def missing(page: Path, text: str) -> list[str]:
    """Return the linked files of this repository that do not exist."""
    files = [ROOT / name for name in _OURS.findall(text)]
    files += [page.parent / name for name in _RELATIVE.findall(text)]
    return [str(file) for file in files if not file.exists()]


def test_linked_files_exist() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert missing(page, page.read_text()) == [], page


def test_a_link_to_a_missing_file_is_found() -> None:
    page, address = ROOT / "docs/index.md", "https://github.com/authgw/authgw/blob/main"
    assert missing(page, f"[a]({address}/nowhere.md)") == [str(ROOT / "nowhere.md")]
    assert missing(page, "[a](../nowhere.md#here)") == [str(ROOT / "docs/../nowhere.md")]
    assert not missing(page, f"[a]({address}/README.md#rules), [b](../README.md)")


def test_the_manual_asks_no_other_host() -> None:
    """Fonts and scripts of other hosts need a network, and show them the readers."""
    settings = (ROOT / "mkdocs.yml").read_text()
    assert "\n  font: false\n" in settings
    assert not re.search(r"^(repo_url|extra_javascript):", settings, re.MULTILINE)
    for style in (ROOT / "docs").rglob("*.css"):
        assert "url(" not in style.read_text()


def test_a_broken_link_fails_the_build() -> None:
    """MkDocs counts the warnings that it logs, so with `--quiet` it would find none."""
    build = re.findall(r"^\t.*mkdocs build (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [("--strict" in words, "--quiet" in words) for words in build] == [(True, False)]
