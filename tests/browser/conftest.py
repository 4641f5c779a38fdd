"""A real Chromium in front of the single-sign-on example, with changed names and ports."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.support.browser import Sso, sso
from tests.support.chromium import launched
from tests.support.leaks import no_secret_in_the_logs


@pytest.fixture(scope="session", autouse=True)
def _no_secret_is_ever_written() -> Iterator[None]:
    yield from no_secret_in_the_logs()


# The driver keeps an event loop running in this thread, which must not affect other tests.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sso]:
    yield from sso(tmp_path_factory.mktemp("sso"))


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(java_script_enabled=False, ignore_https_errors=True)
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()
