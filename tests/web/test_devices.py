"""Descriptions of devices and of elapsed times on the account page."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.web.user_agents import ago, describe_device

CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
WINDOWS = CHROME.format("Windows NT 10.0; Win64; x64")
SAFARI = "Mozilla/5.0 ({}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 {}Safari/604.1"
IPHONE = "iPhone; CPU iPhone OS 17_6 like Mac OS X"
MAC = "Macintosh; Intel Mac OS X 10_15_7"


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; rv:132.0) Gecko/20100101 Firefox/132.0",
            "Firefox on Windows",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "Firefox on Linux",
        ),
        (
            "Mozilla/5.0 (Android 14; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0",
            "Firefox on Android",
        ),
        (
            f"Mozilla/5.0 ({IPHONE}) AppleWebKit/605.1.15 FxiOS/132.0 Safari/605",
            "Firefox on iPhone",
        ),
        (WINDOWS, "Chrome on Windows"),
        (CHROME.format("Linux; Android 10; K"), "Chrome on Android"),
        (CHROME.format("X11; CrOS x86_64 14541.0.0"), "Chrome on ChromeOS"),
        (CHROME.format("X11; FreeBSD amd64"), "Chrome on FreeBSD"),
        (CHROME.format("X11; OpenBSD amd64"), "Chrome on OpenBSD"),
        (
            f"Mozilla/5.0 ({IPHONE}) AppleWebKit/605.1.15 CriOS/130.0 Safari/604.1",
            "Chrome on iPhone",
        ),
        (WINDOWS + " Edg/130.0.0.0", "Edge on Windows"),
        (WINDOWS + " OPR/114.0.0.0", "Opera on Windows"),
        (WINDOWS + " Vivaldi/6.9", "Vivaldi on Windows"),
        (WINDOWS.replace("Safari", "YaBrowser/24.1 Safari"), "Yandex Browser on Windows"),
        (
            CHROME.format("Linux; Android 14").replace("Chrome", "SamsungBrowser/26.0 Chrome"),
            "Samsung Internet on Android",
        ),
        (SAFARI.format(MAC, "") + " Ddg/17.6", "DuckDuckGo on macOS"),
        (SAFARI.format(MAC, ""), "Safari on macOS"),
        (SAFARI.format(IPHONE, "Mobile/15E148 "), "Safari on iPhone"),
        (SAFARI.format("iPad; CPU OS 12_5 like Mac OS X", "Mobile/15E148 "), "Safari on iPad"),
        (f"Mozilla/5.0 ({IPHONE}) AppleWebKit/605.1.15 Mobile/15E148", "Browser on iPhone"),
        ("Mozilla/5.0 Firefox/132.0", "Firefox"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1)", "Unknown device"),
        ("curl/8.5.0", "curl"),
        ("python-requests/2.32.3", "python-requests"),
        ("Go-http-client/1.1", "Go-http-client"),
        ("okhttp/4.12.0", "okhttp"),
        ("", "Unknown device"),
        ("-", "Unknown device"),
        ("<script>/1", "Unknown device"),
        ("a" * 31 + "/1", "Unknown device"),
        ("curl", "Unknown device"),
        (" " * 2000 + "Firefox/1 Windows", "Unknown device"),
    ],
)
def test_device_description(user_agent: str, device: str) -> None:
    assert describe_device(user_agent) == device


@given(st.text())
def test_device_description_is_short_and_plain_for_any_user_agent(user_agent: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9 ._-]{1,30}", describe_device(user_agent))


@pytest.mark.parametrize(
    ("seconds", "phrase"),
    [
        (-5, "just now"),
        (0, "just now"),
        (59.9, "just now"),
        (60, "1 minute ago"),
        (119.9, "1 minute ago"),
        (300, "5 minutes ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (86399, "23 hours ago"),
        (86400, "1 day ago"),
        (3 * 86400, "3 days ago"),
        (90 * 86400, "90 days ago"),
    ],
)
def test_relative_times(seconds: float, phrase: str) -> None:
    assert ago(seconds) == phrase
