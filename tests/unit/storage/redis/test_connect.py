"""The libraries that a replica loads for its store."""

import subprocess
import sys
from pathlib import Path

import pytest

# As `authgw serve` up to the first connection.
START = """
import asyncio, sys
from pathlib import Path
import authgw.app, authgw.cli.serve
from authgw.storage.kinds import StoreLocation
from authgw.storage.registry import kind_of

async def start(url):
    kind = kind_of(url)
    # Without the first commands to a server.
    start = kind.open_shared if kind.is_shared else kind.open
    store = await start(StoreLocation(url, Path(), 3600, 3600))
    await store.close()

asyncio.run(start(sys.argv[1]))
print(sorted(name for name in sys.modules if name.partition(".")[0] == "redis")[:1])
"""


@pytest.mark.parametrize(
    ("url", "loaded"),
    [
        ("redis://localhost", "[]"),
        ("rediss://localhost", "[]"),
        ("redis+cluster://localhost", "[]"),
        ("embedded:///sessions.db", "[]"),
        ("embedded://memory", "[]"),
        ("redis+sentinel://localhost/main", "['redis']"),
    ],
)
def test_redis_py_is_loaded_for_sentinels_only(tmp_path: Path, url: str, loaded: str) -> None:
    run = [sys.executable, "-c", START, url]
    result = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == loaded, result.stderr
