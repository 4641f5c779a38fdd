"""The Chromium of the system, without a window."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

_CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The names of the shipped example resolve to this machine; tests use *.localhost.
    "--host-resolver-rules=MAP *.example.com 127.0.0.1",
]


@contextmanager
def launched() -> Iterator[Browser]:
    """Run a browser; until it is closed, its driver keeps an event loop running in this thread."""
    program = shutil.which("chromium", path="/usr/bin:/usr/local/bin:/snap/bin")
    if program is None:
        pytest.fail("chromium is missing: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=_CHROMIUM)
        yield browser
        browser.close()
