"""The memory of a replica."""

import platform
import subprocess
import sys

import pytest

LEFT = """
import os, sys
from pathlib import Path
from authgw import app

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if sys.argv[1] == "tuned":
    app._return_large_blocks()
before = resident()
# Once such a block is freed, glibc would take those of its size from the heap.
bytearray(8 << 20)
# A smaller block after each large block, so that the heap could not shrink.
blocks = [bytes([1]) * (each << 20 if each else 1000) for each in (4, 0, 4, 0)]
del blocks[::2]
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no such limit")
@pytest.mark.parametrize(("state", "is_returned"), [("tuned", True), ("default", False)])
def test_large_blocks_return_to_the_system(state: str, is_returned: bool) -> None:
    run = [sys.executable, "-c", LEFT, state]
    result = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (int(result.stdout or -1) < 1 << 20) is is_returned, (result.stdout, result.stderr)
