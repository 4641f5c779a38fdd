"""The steps of the release workflow: versions, notes, packages, bill of materials."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.processes import ROOT
from tools import release

WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
VERSION = release.version(ROOT)
CHANGELOG = f"""# Changelog

## Unreleased

- next

## {VERSION} (2026-01-31)

- it

### More

## 0.1

- old
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files with the version of this repository, and its notes."""
    for name in ("pyproject.toml", "Dockerfile", "examples/kubernetes/authgw.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def jobs() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return loaded


def test_a_consistent_tree_can_be_released(tree: Path) -> None:
    assert list(release.mismatches(tree, f"v{VERSION}")) == []


@pytest.mark.parametrize("tag", ["v9.9.9", VERSION, f"v{VERSION}rc1"])
def test_another_tag_is_refused(tree: Path, tag: str) -> None:
    (found,) = release.mismatches(tree, tag)
    assert found == f"pyproject.toml: version is {VERSION}, the tag is {tag}"


@pytest.mark.parametrize("name", ["Dockerfile", "examples/kubernetes/authgw.yaml"])
def test_a_file_with_another_version_is_refused(tree: Path, name: str) -> None:
    file = tree / name
    file.write_text(file.read_text().replace(VERSION, "0.0.1"))
    (found,) = release.mismatches(tree, f"v{VERSION}")
    assert found == f"{name}: names 0.0.1, not {VERSION}"


@pytest.mark.parametrize("text", ["## Unreleased\n\n- x\n", f"## {VERSION}\n\n## 0.1\n\n- x\n"])
def test_a_version_without_notes_is_refused(tree: Path, text: str) -> None:
    (tree / "CHANGELOG.md").write_text(text)
    (found,) = release.mismatches(tree, f"v{VERSION}")
    assert found == f"CHANGELOG.md: no section `## {VERSION}` with a text"


def test_notes_are_the_section_of_the_version(tree: Path) -> None:
    assert release.notes(tree, VERSION) == "- it\n\n### More\n"


def test_a_refusal_is_a_sentence_with_status_1() -> None:
    command = [sys.executable, "tools/release.py", "check", "v0.0.1"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"pyproject.toml: version is {VERSION}, the tag is v0.0.1\n" in result.stderr
    assert "Traceback" not in result.stderr


def test_versions_in_the_repository_agree() -> None:
    found = [line for line in release.mismatches(ROOT, f"v{VERSION}") if "CHANGELOG" not in line]
    assert found == []


def test_a_build_has_packages_and_their_bill_of_materials(tmp_path: Path) -> None:
    release.build(ROOT, tmp_path / "dist")
    names = {path.name for path in (tmp_path / "dist" / "packages").iterdir()}
    assert names == {f"authgw-{VERSION}-py3-none-any.whl", f"authgw-{VERSION}.tar.gz"}
    bill = json.loads((tmp_path / "dist" / "authgw.cdx.json").read_text())
    assert bill["metadata"]["component"]["version"] == VERSION
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    locked = {line.split("==")[0] for line in lock if "==" in line and not line.startswith(" ")}
    assert {part["name"] for part in bill["components"]} == {
        name.partition("[")[0] for name in locked
    }


def test_nothing_is_published_before_the_tests() -> None:
    def needed(name: str) -> set[str]:
        needs = jobs()[name].get("needs", [])
        direct = {needs} if isinstance(needs, str) else set(needs)
        return direct.union(*map(needed, direct))

    commands = [step.get("run", "") for step in jobs()["test"]["steps"]]
    assert any(".ci/run" in command for command in commands)
    assert any("tools/release.py check" in command for command in commands)
    assert all("test" in needed(name) for name in jobs() if name != "test")


def test_each_job_has_the_permissions_of_its_own_steps() -> None:
    assert yaml.safe_load(WORKFLOW.read_text())["permissions"] == {"contents": "read"}
    writes = {
        name: {key for key, value in job.get("permissions", {}).items() if value == "write"}
        for name, job in jobs().items()
    }
    assert writes == {
        "test": set(),
        "packages": {"id-token", "attestations"},
        "image": {"packages", "id-token", "attestations"},
        "publish": {"id-token"},
        "announce": {"contents"},
    }
