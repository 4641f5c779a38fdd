"""Fixtures of the tests of checks."""

import pytest

from authgw.core.users import NoUsers
from tests.support.check_scene import SESSION, CheckScene, made


@pytest.fixture
async def scene() -> CheckScene:
    scene = made(NoUsers())
    await scene.store.add(SESSION, 5)
    return scene
