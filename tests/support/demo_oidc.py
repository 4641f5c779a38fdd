"""Browsers in front of `make run-oidc`: `python -m tests.support.demo_oidc PASSWORD COMMAND`.

The arguments are what it prints: the password of the local user, and the command that ends the
sessions of ben at the provider.
"""

import subprocess
import sys

from tests.support.web_client import WebClient

APP = "http://app.example.localhost:4000"
BUTTON = "/login/oidc/example"


def logged_in(account: str, url: str) -> WebClient:
    """Return a browser that has opened a page of the app and logged in at the provider."""
    browser = WebClient()
    browser.get(url)
    assert browser.shows("Log in with the example provider"), browser.text
    browser.follow(BUTTON)
    browser.submit("/interaction/", account=account, password=account)
    return browser


def main(password: str, end_sessions: str) -> None:
    """Log in as every account of the demo, and as its local user."""
    page = f"{APP}/x?y=z"
    ben = logged_in("ben", page)
    assert (ben.status, ben.url) == (200, page), ben.text
    assert "example:ben" in ben.text
    assert ben.get(f"{APP}/admin/").status == 403
    assert logged_in("ada", f"{APP}/admin/").status == 200
    assert logged_in("eve", page).status == 403
    # As a user would paste it.
    subprocess.run(["bash", "-c", end_sessions], check=True, capture_output=True)
    assert "/login?rd=" in ben.get(page).url
    local = WebClient()
    local.get(page)
    local.submit("/login", username="demo", password=password)
    assert (local.status, local.url) == (200, page), local.text


if __name__ == "__main__":
    main(*sys.argv[1:])
