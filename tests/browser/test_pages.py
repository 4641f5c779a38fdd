"""Every page, light and dark, on a phone and a desktop: findings of axe-core, and screenshots.

With AUTHGW_SCREENSHOTS=DIRECTORY the pages are saved there, as shown in the README.
"""

import re
from collections.abc import Callable
from itertools import product

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import PASSWORD, Sso, log_in
from tests.support.pictures import AXE, SCHEMES, SIZES, save
from tests.support.processes import authgw

pytestmark = pytest.mark.alone


def _login(site: Sso, page: Page) -> None:
    page.goto(site.url("app"))


def _wrong(site: Sso, page: Page) -> None:
    _login(site, page)
    log_in(page, "nobody", "wrong")


def _account(site: Sso, page: Page) -> None:
    _login(site, page)
    log_in(page, "alice")
    page.goto(site.url("auth", "/login/account"))


def _switch(site: Sso, page: Page) -> None:
    _account(site, page)
    page.goto(site.url("auth", "/login?switch=yes"))


def _denied(site: Sso, page: Page) -> None:
    page.goto(site.url("wiki", "/edit"))
    log_in(page, "bob")


def _no_rule(site: Sso, page: Page) -> None:
    _account(site, page)
    page.goto(site.url("ruleless"))


def _code(site: Sso, page: Page) -> None:
    _login(site, page)
    log_in(page, "tess")


def _no_code(site: Sso, page: Page) -> None:
    _login(site, page)
    log_in(page, "bob")
    page.goto(site.url("app", "/vault/x"))


def _log_out(site: Sso, page: Page) -> None:
    _account(site, page)
    page.goto(site.url("auth", "/logout"))


def _logged_out(site: Sso, page: Page) -> None:
    _log_out(site, page)
    page.get_by_role("button", name="Log out").click()


def _loop(site: Sso, page: Page) -> None:
    _account(site, page)
    page.goto(site.url("app", "/loop"))


def _problem(site: Sso, page: Page) -> None:
    # NGINX forwards only the published pages.
    page.goto(f"http://auth.{site.domain}:{site.gateway.port}/login/nowhere")


def _lost(site: Sso, page: Page) -> None:
    _login(site, page)
    page.context.clear_cookies()
    log_in(page, "alice")


def _too_long(site: Sso, page: Page) -> None:
    page.goto(site.url("auth", f"/login?rd={site.url('app', '/' + 'a' * 8200)}"))


def _after_too_long(site: Sso, page: Page) -> None:
    _too_long(site, page)
    log_in(page, "alice")


def _away(site: Sso, page: Page) -> None:
    assert site.gateway.process is not None
    site.gateway.stop()
    try:
        page.goto(site.url("app"))
    finally:
        site.gateway.start()


PAGES: dict[str, tuple[Callable[[Sso, Page], None], str]] = {
    "login": (_login, "Log in"),
    "login-wrong": (_wrong, "Log in"),
    "login-switch": (_switch, "Log in"),
    "account": (_account, "Your account"),
    "denied": (_denied, "You have no access"),
    "denied-no-rule": (_no_rule, "You have no access"),
    "code": (_code, "Enter your code"),
    "code-missing": (_no_code, "Set up an authenticator app first"),
    "log-out": (_log_out, "Log out?"),
    "logged-out": (_logged_out, "You are logged out"),
    "loop": (_loop, ""),
    "problem": (_problem, "Page not found"),
    "login-lost-cookie": (_lost, "Log in"),
    "login-too-long": (_too_long, "Log in"),
    "account-too-long": (_after_too_long, "Your account"),
    "away": (_away, "Not available right now"),
}


@pytest.fixture(scope="module")
def site_with_totp_user(site: Sso) -> Sso:
    site.user("tess")
    result = authgw(site.gateway.folder, "user", "totp", "tess")
    assert result.returncode == 0, result.stderr
    site.wait_for_the_file()
    return site


@pytest.mark.parametrize("name", PAGES)
def test_every_page(site_with_totp_user: Sso, chromium: Browser, name: str) -> None:
    if not AXE.exists():
        pytest.fail("axe-core is missing: npm ci --prefix tests/browser")
    # The pages have no scripts; axe is a script.
    context = chromium.new_context(bypass_csp=True)
    page = context.new_page()
    show, heading = PAGES[name]
    show(site_with_totp_user, page)
    expect(page.get_by_role("heading", level=1)).to_contain_text(heading)
    page.add_script_tag(path=AXE)
    for (size, (width, height)), scheme in product(SIZES.items(), SCHEMES):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        save(page, f"{name}-{size}-{scheme}.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        axe_result = page.evaluate("axe.run(document)")
        violations = [(rule["id"], rule["nodes"][0]["html"]) for rule in axe_result["violations"]]
        assert not violations, (size, scheme)
    context.close()


def test_pages_comply_with_their_content_security_policy(
    site_with_totp_user: Sso, chromium: Browser
) -> None:
    context = chromium.new_context()
    page = context.new_page()
    console: list[str] = []
    page.on("console", lambda message: console.append(message.text))
    page.goto(site_with_totp_user.url("wiki", "/edit"))
    log_in(page, "bob", PASSWORD)
    expect(page.get_by_role("heading", level=1)).to_contain_text("You have no access")
    fonts = page.evaluate("getComputedStyle(document.body).fontFamily")
    assert "system-ui" in fonts, "the stylesheet of another origin was taken"
    page.get_by_role("link", name=re.compile("switch account", re.IGNORECASE)).click()
    log_in(page, "alice", PASSWORD)
    page.wait_for_url(site_with_totp_user.url("wiki", "/edit"))
    assert page.url == site_with_totp_user.url("wiki", "/edit")
    assert not [line for line in console if "Content Security Policy" in line], console
    context.close()
