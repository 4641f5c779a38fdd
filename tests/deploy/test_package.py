"""The wheel and the source distribution: their contents, their metadata, a program that runs."""

import re
import tarfile
import venv
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from tests.support.packages import BIN, lend_dependencies, run
from tests.support.processes import ROOT

_TARGET = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


def test_an_index_accepts_both(dist: Path) -> None:
    run(BIN / "twine", "check", "--strict", *dist.iterdir())


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    tracked = set(run("git", "ls-files", "authgw").split())
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == tracked
    assert any("/recipes/templates/" in name for name in packed)


def test_the_source_distribution_builds_the_same_wheel(
    dist: Path, wheel: Path, tmp_path: Path
) -> None:
    (source,) = dist.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    run(BIN / "hatchling", "build", "-t", "wheel", "--directory", tmp_path, cwd=unpacked)
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_description_has_absolute_addresses_only(metadata: Message) -> None:
    text = str(metadata.get_payload())
    targets = _TARGET.findall(text)
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []
    assert "https://raw.githubusercontent.com/authgw/authgw/main/docs/" in text


def test_the_addresses_exist_in_the_repository(metadata: Message) -> None:
    places = re.findall(
        r"https://(?:raw\.githubusercontent\.com/authgw/authgw/main|"
        r"github\.com/authgw/authgw/(?:blob|tree)/main)/([^)#\s]+)",
        str(metadata.get_payload()) + "\n".join(metadata.get_all("Project-URL", [])),
    )
    assert places
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_an_installed_wheel_runs_and_has_the_recipes(wheel: Path, tmp_path: Path) -> None:
    program = _installed(wheel, tmp_path / "env")
    assert re.fullmatch(r"authgw, version \d+\.\d+\.\d+\n", run(program, "--version"))
    run(program, "nginx", "write", "recipe", cwd=tmp_path)
    shipped = ROOT / "nginx" / "authgw"
    rendered = {path.name: path.read_text() for path in (tmp_path / "recipe").iterdir()}
    assert {name: (shipped / name).read_text() for name in rendered} == rendered


def _installed(wheel: Path, environment: Path) -> Path:
    """Install the wheel beside the dependencies of the environment that runs the tests."""
    venv.create(environment, with_pip=True)
    run(environment / "bin" / "pip", "install", "--quiet", "--no-index", "--no-deps", wheel)
    lend_dependencies(environment)
    return environment / "bin" / "authgw"
