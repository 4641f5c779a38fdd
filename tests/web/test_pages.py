"""The login pages: well-formed, labelled, within the content security policy, readable."""

import re
from xml.etree.ElementTree import fromstring

import pytest
from jinja2 import UndefinedError

from authgw.web.templating import PageRenderer, PageTheme
from authgw.web.theme import contrast
from tests.support.every_page import (
    BASE,
    BUTTONS,
    CONTEXTS,
    PAGES,
    SESSIONS,
    STATES,
    Page,
    assert_inert,
    page,
)

every_state = pytest.mark.parametrize(("name", "other"), STATES)


def test_every_template_is_tested_here() -> None:
    assert set(PAGES._templates) == set(CONTEXTS)


@every_state
def test_a_page_is_well_formed(name: str, other: dict[str, object]) -> None:
    text = PAGES.render(name, base=BASE, **{**CONTEXTS[name], **other})
    assert text.startswith("<!doctype html>\n<html lang=")
    seen = Page(text)
    assert seen.one("html")["lang"] == "en"
    assert seen.elements[2] == ("meta", {"charset": "utf-8"})
    assert "user-scalable" not in seen.one("meta", name="viewport")["content"]
    for tag in ("head", "title", "body", "header", "main", "h1"):
        assert len(seen.all(tag)) == 1
    assert next(word.strip() for tag, word in seen.words if tag == "title").endswith("· authgw")
    style = {"rel": "stylesheet", "href": f"{BASE}/style.css"}
    icon = {"rel": "icon", "type": "image/svg+xml", "href": f"{BASE}/icon.svg"}
    assert seen.all("link") == [style, icon]


def test_a_page_without_a_login_page_loads_nothing() -> None:
    seen = Page(PAGES.render("denied.html", base="", **CONTEXTS["denied.html"]))
    assert not seen.all("link")


@pytest.mark.parametrize(
    ("color", "light", "dark"),
    [("#0a7a70", "#0a7a70", "#0a7a70"), ("#ffffff", "#", "#ffffff"), ("#000000", "#000000", "#")],
)
def test_the_icon_is_seen_on_light_and_dark_ground(color: str, light: str, dark: str) -> None:
    icon = fromstring(PageRenderer(PageTheme(color=color)).icon)  # noqa: S314  our own
    assert icon.tag == "{http://www.w3.org/2000/svg}svg"
    style, path = icon
    on_light, on_dark = re.findall(r"fill: (#[0-9a-f]{6})", style.text or "")
    assert on_light.startswith(light)
    assert on_dark.startswith(dark)
    assert contrast(on_light, "#f4f5f7") >= 3
    assert contrast(on_dark, "#181c22") >= 3
    assert path.get("d") == page("login.html").one("path")["d"]


@every_state
def test_ids_are_unique_and_references_exist(name: str, other: dict[str, object]) -> None:
    seen = page(name, **other)
    ids = [attrs["id"] for _, attrs in seen.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in seen.elements:
        for reference in ("for", "aria-describedby", "aria-labelledby"):
            assert reference not in attrs or attrs[reference] in ids


@every_state
def test_every_field_has_a_label_and_every_label_a_field(
    name: str, other: dict[str, object]
) -> None:
    seen = page(name, **other)
    fields = [attrs["id"] for attrs in seen.all("input") if attrs["type"] != "hidden"]
    assert sorted(fields) == sorted(attrs["for"] for attrs in seen.all("label"))


@every_state
def test_every_form_posts_and_carries_the_token(name: str, other: dict[str, object]) -> None:
    seen = page(name, **other)
    assert {form["method"] for form in seen.all("form")} <= {"post"}
    tokens = seen.all("input", type="hidden", name="token", value="a-token")
    assert len(tokens) == len(seen.all("form")) == len(seen.all("form", method="post"))


@every_state
def test_pages_obey_the_strict_content_security_policy(name: str, other: dict[str, object]) -> None:
    seen = page(name, **other)
    assert_inert(seen)


@pytest.mark.parametrize(
    ("name", "kept", "dropped"),
    [
        ("login.html", {BASE, *(each.start for each in BUTTONS)}, set()),
        ("totp.html", {f"{BASE}/totp", f"{BASE}?switch=yes"}, set()),
        ("denied.html", {"https://auth.example.com/login?rd=x"}, set()),
        ("loop.html", {"https://a.example.com/"}, {f"{BASE}/account"}),
        ("problem.html", {BASE}, set()),
        (
            "provider_switch.html",
            {f"{BASE}/oidc/company", "/login?rd=%2Fx"},
            set(),
        ),
        (
            "provider_problem.html",
            {"/login/oidc/company?rd=%2Fx", "/login?switch=yes&rd=%2Fx"},
            set(),
        ),
        (
            "account.html",
            set(),
            {
                "/logout",
                f"{BASE}/end",
                "https://apps.example.com/",
                f"{BASE}/oidc/company/link",
                f"{BASE}/oidc/github/link",
            },
        ),
    ],
)
def test_what_leads_on_to_the_first_page_keeps_its_fragment(
    name: str, kept: set[str], dropped: set[str]
) -> None:
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for tag, attrs in page(name).elements:
        if tag in ("a", "form"):
            target = attrs["action" if tag == "form" else "href"]
            found["data-keeps-fragment" in attrs].add(target)
    assert found == {True: kept, False: dropped}


def test_a_context_that_lacks_a_name_is_an_error() -> None:
    for name, context in CONTEXTS.items():
        for missing in context:
            rest = {key: value for key, value in context.items() if key != missing}
            with pytest.raises(UndefinedError):
                PAGES.render(name, base=BASE, **rest)


def test_a_page_that_does_not_exist_is_an_error() -> None:
    for name in ("_layout.html", "nothing.html"):
        with pytest.raises(KeyError):
            PAGES.render(name, base=BASE)


def test_log_in_fields_help_password_managers_and_phones() -> None:
    seen = page("login.html", username="", message="", rd="/back")
    username, password = seen.one("input", id="username"), seen.one("input", id="password")
    assert username["autocomplete"] == "username"
    assert (username["autocapitalize"], username["spellcheck"]) == ("none", "false")
    assert (password["type"], password["autocomplete"]) == ("password", "current-password")
    assert "autofocus" in username
    assert "autofocus" not in password
    assert seen.one("form")["action"] == BASE
    assert seen.one("input", name="rd")["value"] == "/back"
    assert not seen.all("p", role="alert")


def test_a_failed_log_in_keeps_the_username_and_says_why() -> None:
    seen = page("login.html", username="alice", message="Wrong.")
    assert seen.one("p", role="alert")["id"] == "alert"
    for field in (seen.one("input", id="username"), seen.one("input", id="password")):
        assert (field["aria-invalid"], field["aria-describedby"]) == ("true", "alert")
    assert seen.one("input", id="username")["value"] == "alice"
    assert "value" not in seen.one("input", id="password")
    assert "autofocus" in seen.one("input", id="password")
    assert ("title", "Error: Log in · authgw") in seen.words


def test_login_page_warns_that_the_current_session_ends() -> None:
    sentence = "You are logged in as bob. Logging in as another user ends that session."
    assert sentence in page("login.html").text
    assert "logged in" not in page("login.html", signed_in_as="").text


def test_the_code_field_restricts_no_recovery_code() -> None:
    seen = page("totp.html", message="")
    code, recovery = seen.one("input", id="code"), seen.one("input", id="recovery")
    assert (code["autocomplete"], code["inputmode"]) == ("one-time-code", "numeric")
    assert "inputmode" not in recovery
    for field in (code, recovery):
        assert field["name"] == "code"
        assert not {"pattern", "maxlength", "minlength"} & field.keys()
    assert {form["action"] for form in seen.all("form")} == {f"{BASE}/totp"}
    assert seen.one("a")["href"] == f"{BASE}?switch=yes"


def test_a_missing_second_factor_offers_no_form() -> None:
    seen = page("totp.html", missing=True)
    assert not seen.all("form")
    assert "authgw user totp alice" in seen.text


def test_each_other_session_can_be_ended_by_a_button_that_names_it() -> None:
    seen = page("account.html")
    assert [field["value"] for field in seen.all("input", name="sid")] == ["sid-2"]
    assert (
        "End the session of Safari on iPhone, last used 2 days ago, from 203.0.113.8" in seen.text
    )
    assert seen.one("input", name="others")["value"] == "yes"
    assert len(seen.all("form", action=f"{BASE}/end")) == 2
    assert seen.one("form", action="/logout")
    assert seen.one("p", role="status")


def test_a_single_session_has_no_button_for_others() -> None:
    seen = page("account.html", sessions=SESSIONS[:1])
    assert not seen.all("form", action=f"{BASE}/end")


def test_denied_page_names_user_requirement_and_reason() -> None:
    seen = page("denied.html")
    for sentence in (
        "You are logged in as bob. None of these is you.",
        "This page is only for: group admins user alice",
        "admin.example.com/x",
        "not_permitted",
        "1f0c",
        "Switch account",
    ):
        assert sentence in seen.text
    nobody = page("denied.html", who="", needed=[])
    assert "You are not logged in." in nobody.text
    assert "This page is only for" not in nobody.text
    assert "Switch account" not in nobody.text


def test_error_pages_show_the_request_id() -> None:
    for name in ("denied.html", "unavailable.html", "problem.html"):
        assert "Request 1f0c" in page(name).text


def test_every_class_of_a_page_is_in_the_stylesheet() -> None:
    used = {
        one
        for name, other in STATES
        for _, attrs in page(name, **other).elements
        for one in attrs.get("class", "").split()
    }
    rules = re.sub(r"/\*.*?\*/", "", PAGES.stylesheet, flags=re.DOTALL)
    styled = set(re.findall(r"\.([a-z]+)", rules))
    assert used == styled
