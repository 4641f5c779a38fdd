"""Logins in a real browser without JavaScript, through a real NGINX."""

import re
from pathlib import Path
from urllib.parse import quote

import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.support.browser import PASSWORD, Sso, log_in, sso
from tests.support.doctor import write_dump
from tests.support.processes import authgw

pytestmark = pytest.mark.alone


def shows(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)


def test_a_login_returns_to_the_url_and_is_valid_on_sibling_hosts(site: Sso, page: Page) -> None:
    wanted = site.url("app", "/reports/2026?quarter=4&tag=a%26b&tag=%C3%BC&x=1+2")
    page.goto(wanted)
    page.wait_for_url(re.compile(re.escape(site.url("auth", "/login?rd="))))
    log_in(page, "alice")
    page.wait_for_url(wanted)
    shows(page, "Protected page")
    expect(page.get_by_text("alice", exact=True)).to_be_visible()
    page.goto(site.url("wiki", "/start"))
    page.wait_for_url(site.url("wiki", "/start"))
    expect(page.get_by_text("writers", exact=True)).to_be_visible()


def test_a_login_follows_the_redirects_of_the_app(site: Sso, page: Page) -> None:
    page.goto(site.url("auth", f"/login?rd={quote(site.url('app', '/leads-on'), safe='')}"))
    log_in(page, "alice")
    page.wait_for_url(site.url("wiki", "/on"))
    shows(page, "Protected page")


def test_the_cookie_conforms_to_its_prefix(site: Sso, page: Page, context: BrowserContext) -> None:
    page.goto(site.url("app"))
    log_in(page, "alice")
    cookies = {cookie["name"]: cookie for cookie in context.cookies()}
    session = cookies["__Secure-authgw"]
    assert session["domain"] == ".example.localhost"
    assert (session["httpOnly"], session["secure"]) == (True, True)
    assert (session["sameSite"], session["path"]) == ("Lax", "/")
    helpers = [name for name in cookies if name.startswith("__Secure-authgw-")]
    assert all(cookies[name]["path"] == "/login" for name in helpers)
    assert "__Secure-authgw-device" in helpers


def test_a_wrong_password_keeps_the_name_and_the_return_url(site: Sso, page: Page) -> None:
    page.goto(site.url("app", "/page?x=1"))
    log_in(page, "bob", "wrong")
    expect(page.get_by_role("alert")).to_have_text("The username or password is wrong.")
    expect(page.get_by_label("Username")).to_have_value("bob")
    log_in(page, "bob")
    page.wait_for_url(site.url("app", "/page?x=1"))


def test_too_many_attempts_show_the_waiting_time(site: Sso, page: Page) -> None:
    site.user("carol")
    page.goto(site.url("app"))
    for _ in range(5):
        log_in(page, "carol", "wrong")
        expect(page.get_by_role("alert")).to_have_text("The username or password is wrong.")
    log_in(page, "carol")
    expect(page.get_by_role("alert")).to_have_text(
        re.compile(r"^Too many attempts\. Try again in \d+ (minutes?|seconds)\.$")
    )


def test_a_logout_ends_the_session_on_all_hosts(
    site: Sso, page: Page, context: BrowserContext
) -> None:
    page.goto(site.url("app", "/mine"))
    log_in(page, "alice")
    page.goto(site.url("auth", "/logout"))
    page.get_by_role("button", name="Log out").click()
    shows(page, "You are logged out.")
    assert not [cookie for cookie in context.cookies() if cookie["name"] == "__Secure-authgw"]
    for host in ("app", "wiki"):
        page.goto(site.url(host))
        page.wait_for_url(re.compile(re.escape(site.url("auth", "/login?rd="))))


def test_the_back_button_shows_nothing_cached(site: Sso, page: Page) -> None:
    page.goto(site.url("app", "/secret"))
    log_in(page, "alice")
    page.goto(site.url("auth", "/login/account"))
    shows(page, "Your account")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are logged out.")
    page.go_back()
    page.go_back()
    assert "alice" not in page.content()
    page.goto(site.url("app", "/secret"))
    assert "Protected page" not in page.content()


def test_the_account_page_ends_sessions_elsewhere(site: Sso, page: Page, chromium: Browser) -> None:
    site.user("dora")
    page.goto(site.url("auth"))
    log_in(page, "dora")
    other = chromium.new_context(
        java_script_enabled=False, user_agent="Mozilla/5.0 (Windows NT) Firefox/150.0"
    ).new_page()
    other.goto(site.url("app"))
    log_in(other, "dora")
    page.goto(site.url("auth", "/login/account"))
    expect(page.get_by_text("Firefox on Windows", exact=True)).to_be_visible()
    page.get_by_role("button", name="End all other sessions").click()
    expect(page.get_by_role("status")).to_have_text("All other sessions were ended.")
    assert page.get_by_text("Firefox on Windows", exact=True).count() == 0
    other.goto(site.url("app"))
    assert other.url.startswith(site.url("auth", "/login"))
    page.goto(site.url("app"))
    shows(page, "Protected page")
    other.context.close()


def test_the_wrong_group_sees_the_user_but_not_the_required_group(site: Sso, page: Page) -> None:
    page.goto(site.url("wiki", "/edit"))
    log_in(page, "bob")
    page.wait_for_url(site.url("wiki", "/edit"))
    text = page.content()
    assert "bob" in text
    assert "writers" not in text
    assert re.search(r"[0-9a-f]{32}", text), "the request's id"
    styled = page.evaluate("getComputedStyle(document.body).fontFamily")
    assert styled
    page.get_by_role("link", name=re.compile("switch account", re.IGNORECASE)).click()
    log_in(page, "alice")
    page.wait_for_url(site.url("wiki", "/edit"))
    shows(page, "Protected page")


def code_field(page: Page) -> Locator:
    return page.get_by_label("Code", exact=True)


def set_up_totp(site: Sso, user: str) -> tuple[pyotp.TOTP, list[str]]:
    result = authgw(site.gateway.folder, "user", "totp", user)
    assert result.returncode == 0, result.stderr
    secret = re.search(r"secret=([A-Z2-7]+)", result.stdout)
    assert secret
    codes = re.findall(r"^\s*([0-9a-z]{4}(?:-[0-9a-z]{4}){3})\s*$", result.stdout, re.MULTILINE)
    assert len(codes) == 10
    site.wait_for_the_file()
    return pyotp.TOTP(secret[1]), codes


def test_second_factor_of_a_user_with_totp(site: Sso, page: Page) -> None:
    site.user("erin")
    totp, codes = set_up_totp(site, "erin")
    page.goto(site.url("app", "/x?y=z"))
    log_in(page, "erin")
    page.wait_for_url(re.compile("/login/totp"))
    code_field(page).fill("000000")
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("The code is wrong.")
    code_field(page).fill(totp.now())
    page.get_by_role("button", name="Continue", exact=True).click()
    page.wait_for_url(site.url("app", "/x?y=z"))
    page.goto(site.url("app", "/vault/x"))
    shows(page, "Protected page")
    # A recovery code is valid once.
    for expected in (site.url("app", "/x"), None):
        page.context.clear_cookies()
        page.goto(site.url("app", "/x"))
        log_in(page, "erin")
        page.get_by_text("Use a recovery code instead").click()
        page.get_by_label("Recovery code").fill(codes[0])
        page.get_by_role("button", name="Continue with recovery code").click()
        if expected:
            page.wait_for_url(expected)
        else:
            expect(page.get_by_role("alert")).to_have_text("The code is wrong.")


def test_a_rule_requires_the_second_factor_of_a_password_session(site: Sso, page: Page) -> None:
    site.user("frank")
    page.goto(site.url("app"))
    log_in(page, "frank")
    shows(page, "Protected page")
    page.goto(site.url("app", "/vault/x"))
    page.wait_for_url(re.compile("/login/totp"))
    assert "authgw user totp" in page.content()
    totp, _ = set_up_totp(site, "frank")
    page.goto(site.url("app", "/vault/x"))
    code_field(page).fill(totp.now())
    page.get_by_role("button", name="Continue", exact=True).click()
    page.wait_for_url(site.url("app", "/vault/x"))


def test_login_with_the_keyboard_only(site: Sso, page: Page) -> None:
    page.goto(site.url("app", "/k"))
    expect(page.get_by_label("Username")).to_be_focused()
    page.keyboard.type("alice")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(site.url("app", "/k"))
    page.goto(site.url("auth", "/login/account"))
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == "Log out":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("You are logged out.")


def test_a_disabled_user_and_a_new_password_end_sessions(site: Sso, page: Page) -> None:
    site.user("grace")
    page.goto(site.url("app"))
    log_in(page, "grace")
    shows(page, "Protected page")
    changed = authgw(
        site.gateway.folder,
        "user",
        "passwd",
        "grace",
        "--password-stdin",
        stdin="an other one 77\n",
    )
    assert changed.returncode == 0, changed.stderr
    site.wait_for_the_file()
    page.goto(site.url("app"))
    page.wait_for_url(re.compile(re.escape(site.url("auth", "/login"))))
    log_in(page, "grace", "an other one 77")
    shows(page, "Protected page")
    authgw(site.gateway.folder, "user", "disable", "grace")
    site.wait_for_the_file()
    page.goto(site.url("app"))
    log_in(page, "grace", "an other one 77")
    expect(page.get_by_role("alert")).to_have_text("The username or password is wrong.")


@pytest.mark.parametrize(
    "rd", ["https://evil.example/", "//evil.example", "https://app.example.localhost@evil.example"]
)
def test_a_hostile_return_url_leads_to_the_start_page(site: Sso, page: Page, rd: str) -> None:
    page.goto(site.url("auth", f"/login?rd={rd}"))
    log_in(page, "alice")
    page.wait_for_url(site.url("app"))


def test_a_form_of_another_site_cannot_log_in_or_out(site: Sso, page: Page) -> None:
    page.goto(site.url("app"))
    log_in(page, "alice")
    for action in ("/login", "/logout", "/login/end"):
        page.goto(site.url("app"))
        page.set_content(
            f'<form method="post" action="{site.url("auth", action)}">'
            '<input name="username" value="bob"><button>Go</button></form>'
        )
        page.get_by_role("button").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Not allowed")
    page.goto(site.url("app"))
    expect(page.get_by_text("alice", exact=True)).to_be_visible()


def test_a_proxy_that_drops_the_cookie_is_diagnosed(site: Sso, page: Page) -> None:
    page.goto(site.url("app"))
    log_in(page, "alice")
    response = page.goto(site.url("app", "/loop"))
    assert response is not None
    assert response.status == 508
    assert "the proxy does not pass Cookie to the auth subrequest" in page.content()
    assert "Third login redirect" in site.gateway.log


@pytest.mark.parametrize("same", [True, False])
def test_tabs_that_are_reloaded_after_a_login_all_open(
    site: Sso, context: BrowserContext, same: bool
) -> None:
    wanted = [site.url("app", "/tab" if same else f"/tab/{number}") for number in range(6)]
    tabs = [context.new_page() for _ in wanted]
    for tab, url in zip(tabs, wanted, strict=True):
        tab.goto(url)
    log_in(tabs[0], "alice")
    tabs[0].wait_for_url(wanted[0])
    for tab, url in zip(tabs[1:], wanted[1:], strict=True):
        tab.reload()
        assert tab.url == url
        shows(tab, "Protected page")


def test_a_form_that_is_sent_after_the_session_ended_leads_back_to_its_page(
    site: Sso, page: Page
) -> None:
    page.goto(site.url("app", "/edit?id=1"))
    log_in(page, "alice")
    page.wait_for_url(site.url("app", "/edit?id=1"))
    page.context.clear_cookies()
    page.evaluate(
        "document.body.innerHTML = '<form method=post action=/save><button>Save</button></form>'"
    )
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(re.compile(re.escape(site.url("auth", "/login?rd="))))
    log_in(page, "alice")
    page.wait_for_url(site.url("app", "/edit?id=1"))


def test_an_unavailable_gateway_shows_a_page(tmp_path: Path, page: Page) -> None:
    for site in sso(tmp_path):
        site.gateway.stop()
        response = page.goto(site.url("app"))
        assert response is not None
        assert response.status == 503
        shows(page, "Not available right now")


def test_the_example_as_shipped_over_https(tmp_path: Path, page: Page) -> None:
    for site in sso(tmp_path, scheme="https", domain="example.com"):
        dump = write_dump(site.folder / "nginx" / "conf")
        port = {"AUTHGW_SERVER__PORT": str(site.gateway.port)}
        doctor_result = authgw(site.gateway.folder, "doctor", "--nginx", str(dump), **port)
        assert doctor_result.returncode == 0, doctor_result.stdout
        page.goto(site.url("app", "/a?b=c"))
        log_in(page, "alice")
        page.wait_for_url(site.url("app", "/a?b=c"))
        page.goto(site.url("wiki", "/"))
        shows(page, "Protected page")
        page.goto(site.url("auth", "/logout"))
        page.get_by_role("button", name="Log out").click()
        page.goto(site.url("wiki", "/"))
        page.wait_for_url(re.compile(re.escape(site.url("auth", "/login"))))
