"""Installed packages are those that were tested."""

import re
import tomllib

import pytest

from tests.threats.listing import ROOT

_PINNED = re.compile(r"[A-Za-z0-9._-]+(\[[a-z,-]+\])?==[^ ]+( ; .+)?")


_LOCKS = {
    "requirements.lock": (),
    "requirements-demo.lock": ("demo",),
    "requirements-build.lock": ("build",),
    "requirements-docs.lock": ("docs",),
    "requirements-test.lock": ("test", "demo", "build"),
}


@pytest.mark.parametrize("name", _LOCKS)
def test_every_dependency_is_pinned_by_hash(name: str) -> None:
    text = re.sub(r" *#.*", "", (ROOT / name).read_text())
    entries = [one for one in re.split(r"\n(?=\S)", text.strip()) if one]
    for entry in entries:
        requirement, *hashes = [part.strip() for part in entry.split("\\\n")]
        assert _PINNED.fullmatch(requirement), requirement
        hashes = [line for line in "\n".join(hashes).split() if line]
        assert hashes, requirement
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), requirement
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [project["dependency-groups"][group] for group in _LOCKS[name]]
    listed = [one for group in groups for one in group if isinstance(one, str)]
    if name not in ("requirements-build.lock", "requirements-docs.lock"):
        listed += project["project"]["dependencies"]
    wanted = {re.split(r"[\[<>=~ ]", one)[0].replace(".", "-") for one in listed}
    locked = {entry.split("==")[0].partition("[")[0] for entry in entries}
    assert {one.lower() for one in wanted} <= {one.lower() for one in locked}


def test_every_install_asks_for_hashes() -> None:
    for name in ("Makefile", "Dockerfile", "tools/demo"):
        text = (ROOT / name).read_text().replace("\\\n", " ")
        installs = [line for line in text.splitlines() if re.search(r"\bpip\b.* install ", line)]
        assert all("--require-hashes" in line or "--no-deps" in line for line in installs), name
