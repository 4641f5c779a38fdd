"""The packages that the tests of this folder share."""

from pathlib import Path

import pytest

from tests.support.packages import BIN, run


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    run(BIN / "hatchling", "build", "--directory", directory)
    return directory


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    (wheel,) = dist.glob("*.whl")
    return wheel
