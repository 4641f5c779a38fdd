"""Pages of logins at identity providers, light and dark, on a phone and a desktop."""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import Sso, log_in, sso
from tests.support.pictures import AXE, SCHEMES, SIZES, save
from tests.support.processes import free_port

pytestmark = pytest.mark.alone

_ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32"
rx="7" fill="#c2410c"/><path fill="#fff" d="M8 8h16v4H12v3h9v4h-9v5H8z"/></svg>"""
# No provider listens at these addresses: the pages are those of before and after it.
_PROVIDERS = """\
  {more}
  providers:
    company:
      issuer: http://127.0.0.1:{port}
      client_id: authgw
      client_secret_file: ../kc
      label: Example Ltd
      icon: ../kc.svg
      accept: linked
    github:
      type: github
      client_id: other
      client_secret_file: ../kc
      label: GitHub
      accept: linked
"""


def _site(folder: Path, more: str) -> Iterator[Sso]:
    (folder / "kc.svg").write_text(_ICON)
    (folder / "kc").write_text("a client secret")
    (folder / "kc").chmod(0o600)
    yield from sso(folder, login=_PROVIDERS.format(port=free_port(), more=more))


@pytest.fixture(scope="module")
def with_providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sso]:
    yield from _site(tmp_path_factory.mktemp("providers"), "self_service: [link]")


@pytest.fixture(scope="module")
def providers_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sso]:
    yield from _site(tmp_path_factory.mktemp("providers-only"), "passwords: false")


def _login(site: Sso, page: Page) -> None:
    page.goto(site.url("app"))


def _account(site: Sso, page: Page) -> None:
    _login(site, page)
    log_in(page, "alice")
    page.goto(site.url("auth", "/login/account"))


def _switch(site: Sso, page: Page) -> None:
    _account(site, page)
    page.goto(site.url("auth", f"/login/oidc/company?rd={site.url('app')}"))


def _start_again(site: Sso, page: Page) -> None:
    page.goto(site.url("auth", "/login/oidc/company/callback?code=x&state=y"))


def _unavailable(site: Sso, page: Page) -> None:
    _login(site, page)
    page.get_by_role("link", name="Example Ltd").click()


def _login_after_that(site: Sso, page: Page) -> None:
    _unavailable(site, page)
    _login(site, page)


PAGES: dict[str, tuple[Callable[[Sso, Page], None], str]] = {
    "login-providers": (_login, "Log in"),
    "provider-switch": (_switch, "Log in as another user?"),
    "provider-start-again": (_start_again, "Start the login again"),
    "provider-unavailable": (_unavailable, "This login does not work right now"),
    "login-provider-away": (_login_after_that, "Log in"),
    "account-links": (_account, "Your account"),
}


@pytest.mark.parametrize("name", PAGES)
def test_pages_of_providers(with_providers: Sso, chromium: Browser, name: str) -> None:
    _check(with_providers, chromium, name, *PAGES[name])


def test_the_login_page_without_passwords(providers_only: Sso, chromium: Browser) -> None:
    _check(providers_only, chromium, "login-providers-only", _login, "Log in")


def test_the_fragment_travels_in_the_return_target(with_providers: Sso, chromium: Browser) -> None:
    """A provider does not receive it, and the login leads back to it."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(with_providers.url("app", "/a#part"))
    href = page.get_by_role("link", name="GitHub").get_attribute("href") or ""
    context.close()
    assert href.endswith("%2Fa%23part")
    assert "#" not in href


def _check(
    site: Sso, chromium: Browser, name: str, show: Callable[[Sso, Page], None], heading: str
) -> None:
    # The pages have no scripts; axe is a script.
    context = chromium.new_context(bypass_csp=True)
    page = context.new_page()
    show(site, page)
    expect(page.get_by_role("heading", level=1)).to_contain_text(heading)
    page.add_script_tag(path=AXE)
    for (size, (width, height)), scheme in product(SIZES.items(), SCHEMES):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        save(page, f"{name}-{size}-{scheme}.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = page.evaluate("axe.run(document)")["violations"]
        assert not [(rule["id"], rule["nodes"][0]["html"]) for rule in found], (size, scheme)
    context.close()
