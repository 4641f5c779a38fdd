"""The generated pages of docs/reference: as the code is, and with valid examples."""

import re
from pathlib import Path

import click
import pytest
import yaml

from authgw.config.loader import load
from authgw.config.schema import Settings
from authgw.core.reasons import REASONS
from tests.support.processes import ROOT
from tools.reference import cli
from tools.reference.pages import MarkerError, fresh, pages, replaced

_KEY = re.compile(r"^### `([a-zA-Z_.\[\]]+)`\n(.*?)(?=^#|^<!--)", re.MULTILINE | re.DOTALL)
_YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PROVIDER = {"issuer": "https://id.example.com", "client_id": "x", "accept": "everyone"}
_PROVIDERS = {"company": {**_PROVIDER, "client_secret_file": "x"}}
_OF_PROVIDERS = "login.providers.NAME."
# The keys that an example of a provider needs next to it, in place of the usual ones.
_NEEDED_OF_PROVIDERS = {
    "type": {"client_id": "x", "client_secret_file": "x", "accept": "linked"},
    "client_key_file": _PROVIDER,
    "subject": {**_PROVIDER, "client_secret_file": "x", "email": "trusted"},
}
# The keys that an example needs next to it.
_NEEDED: dict[str, dict[str, dict[str, object]]] = {
    "login.passwords": {"login": {"providers": _PROVIDERS}},
    "login.auto": {"login": {"passwords": False, "providers": _PROVIDERS}},
    "login.self_service": {"login": {"providers": _PROVIDERS}},
    "auth.secret_file": {"auth": {"algorithm": "HS256"}},
    "auth.session_max": {"auth": {"refresh_lifetime": "24h"}},
    "cache.ca_file": {"cache": {"url": "rediss://redis:6379/0"}},
    "cache.password_file": {"cache": {"host": "redis"}},
    "cache.port": {"cache": {"host": "redis"}},
}


def entries() -> dict[str, str]:
    """Return the text of each key of the configuration, by the key."""
    return dict(_KEY.findall((ROOT / "docs/reference/configuration.md").read_text()))


def of_provider(key: str, written: dict[str, object]) -> dict[str, object]:
    """Return a provider with this example of a key in it."""
    *sections, name = key.removeprefix(_OF_PROVIDERS).split(".")
    for section in sections:
        written = {section: written}
    needed = _NEEDED_OF_PROVIDERS.get(name, _PROVIDERS["company"])
    return {**needed, **written}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_pages_are_as_the_code_is(page: Path) -> None:
    assert page.read_text() == fresh(page), "run python -m tools.reference --write"


def test_every_page_is_in_the_list_of_the_section() -> None:
    index = (ROOT / "docs/reference/index.md").read_text()
    assert [page.name for page in pages() if f"]({page.name})" not in index] == []


def test_a_page_keeps_its_text_around_a_part() -> None:
    page = "# A\n\n<!-- generated: x -->\nold\n<!-- end of x -->\n\nend\n"
    expected = "# A\n\n<!-- generated: x -->\n\nnew\n\n<!-- end of x -->\n\nend\n"
    assert replaced(page, "x", "new") == replaced(expected, "x", "new") == expected
    with pytest.raises(MarkerError, match="generated: y"):
        replaced(page, "y", "new")
    with pytest.raises(MarkerError, match="once"):
        replaced(page * 2, "x", "new")


def test_every_key_has_its_type_default_and_example() -> None:
    assert len(entries()) > 50
    for key, text in entries().items():
        assert all(f"\n- {fact}: " in text for fact in ("Type", "Default", "Example")), key


@pytest.mark.parametrize("key", entries())
def test_examples_are_valid_and_no_defaults(key: str, tmp_path: Path) -> None:
    example = re.search(r"^- Example: `(.*)`$", entries()[key], re.MULTILINE)
    assert example is not None
    default = re.search(r"^- Default: `(.*)`$", entries()[key], re.MULTILINE)
    assert default is None or not example[1].endswith(f": {default[1]}")
    written = yaml.safe_load(example[1])
    if key.startswith(_OF_PROVIDERS):
        written = {"login": {"providers": {"company": of_provider(key, written)}}}
        key = ""
    for name in reversed(key.split(".")[:-1]):
        list_name = name.removesuffix("[]")
        if name == "rules[]":
            written = {"allow": "authenticated", **written}
        elif name == "domains[]":
            written = {"url": "https://auth.example.com/login", **written}
        written = {list_name: written if name == list_name else [written]}
    (section,) = written
    needed = _NEEDED.get(key, {}).get(section, {})
    if section == "login" and "url" not in key and "domains" not in key:
        needed = {"url": "https://auth.example.com/login", **needed}
    if needed:
        written = {section: {**needed, **written[section]}}
    file = tmp_path / "config.yml"
    file.write_text(yaml.safe_dump(written))
    assert load(file, {}).settings != Settings()


def test_examples_of_a_command_keep_their_lines() -> None:
    described = click.Command("x", help="Do it.", epilog="\b\nExamples:\n  x 'a  b'\n  x c")
    page = cli._command(click.Context(described, info_name="x"))
    expected = "Do it.\n\n```text\nx [OPTIONS]\n```\n\nExamples:\n\n```sh\nx 'a  b'\nx c\n```"
    assert page.endswith(expected)


def test_every_code_is_described() -> None:
    page = (ROOT / "docs/reference/reasons.md").read_text()
    assert [code for code in REASONS if f"| `{code}` |" not in page] == []


def test_configurations_of_the_reference_are_valid(tmp_path: Path) -> None:
    pages = (ROOT / "docs/reference").glob("*.md")
    blocks = [text for page in pages for text in _YAML.findall(page.read_text())]
    assert len(blocks) > 1
    for text in blocks:
        file = tmp_path / "config.yml"
        file.write_text(text)
        loaded = load(file, {})
        assert (loaded.warnings, loaded.rule_warnings) == ((), ())
