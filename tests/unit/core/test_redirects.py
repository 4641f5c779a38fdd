"""Values of `rd` never redirect a browser to another host; benign values stay unchanged.

The oracle is a parser of the WHATWG URL Standard that browsers use, not the tested parser.
"""

from collections.abc import Iterator
from itertools import product

import pytest
from ada_url import URL
from hypothesis import example, given, settings
from hypothesis import strategies as st

from authgw.core.limits import MAX_RD_BYTES
from authgw.core.login_sites import origin_of
from authgw.core.redirects import Redirects, front_page

OWN = "https://auth.example.com"
DEFAULT = "https://auth.example.com/account"
ALLOWED = {"app.example.com", "xn--bcher-kva.example", "[::1]", "auth.example.com"}
REDIRECTS = Redirects(
    hosts=(
        "app.example.com",
        "*.apps.example.com",
        "xn--bcher-kva.example",
        "[::1]",
    ),
    own=OWN,
    default=DEFAULT,
)

GOOD, EVIL = "app.example.com", "evil.net"
# Characters that a parser may drop, treat as a slash, or treat as the end of a host.
ODD = ["\t", "\n", "\r", " ", "\x00", "\x0b", "\x1f", "\x7f", "\x85", "\xa0", "\xad", "\u200b",
       "\u2028", "\u3000", "\ufeff", "\u202e"]  # fmt: skip  # rows of a table
SLASHES = ["\\", "\uff0f", "\u2044", "\u2215", "\uff3c", "%2f", "%5c", "%252f"]
DOTS = ["\u3002", "\uff0e", "\uff61", "%2e", "\u2024"]
SCHEMES = [
    "javascript", "JaVaScRiPt", "java\tscript", "data", "vbscript", "file", "ftp", "ws", "wss",
    "blob", "about", "mailto", "tel", "view-source", "filesystem", "jar", "intent", "http\u017f",
    "\uff48ttps", "https\t", " https", "ht\ntps", "h%74tps", "httpss", "http+x", "x-https",
    "chrome",
]  # fmt: skip  # rows of a table


def off_origin() -> Iterator[str]:
    """Yield other schemes, and missing, additional or wrong slashes."""
    for scheme in SCHEMES:
        yield f"{scheme}://{GOOD}/"
        yield f"{scheme}:alert(1)//{GOOD}/"
        yield f"{scheme}:{GOOD}"
    starts = [
        "//",
        "///",
        "////",
        "\\\\",
        "/\\",
        "\\/",
        "/\\/",
        "//\\",
        "\\",
        "/\t/",
        "/\n/",
        "\t//",
    ]
    for start, host in product(starts, [EVIL, GOOD, f"{GOOD}@{EVIL}", f"{EVIL}/{GOOD}"]):
        yield f"{start}{host}"
        yield f"https:{start}{host}" if start != "//" else f"https:{host}"
    for scheme in ("https:", "http:", "HTTPS:"):
        yield f"{scheme}/{EVIL}"
        yield f"{scheme}{EVIL}"
        yield f"{scheme}///{EVIL}"
        yield f"{scheme}/\\{EVIL}"
    yield from ("", ".", "..", "?", "#", "a", GOOD, f"{GOOD}/x", "../x", "./x", "?a=b", ":", "://")


def userinfo() -> Iterator[str]:
    """Yield hosts in the place of a user name."""
    for before in (
        GOOD,
        f"{GOOD}:443",
        f"u:{GOOD}",
        f"{GOOD}%40",
        f"{GOOD}:80#",
        f"{GOOD}?",
        "",
        "a:b",
    ):
        for at in ("@", "%40", "\uff20", "@@", "\\@", "/@", ":@"):
            yield f"https://{before}{at}{EVIL}/"
            yield f"https://{before}{at}{EVIL}:443/?x={GOOD}"
    for after in (GOOD, "sub.apps.example.com", "[::1]"):
        yield f"https://u@{after}/"
        yield f"https://u:p@{after}/"
        yield f"https://@{after}/"
        yield f"https://{EVIL}\\@{after}/"


def odd_characters() -> Iterator[str]:
    """Yield controls, spaces, and variants of slashes and dots at all positions."""
    for odd in [*ODD, *SLASHES]:
        yield f"https://{GOOD}{odd}{EVIL}/"
        yield f"https://{EVIL}{odd}{GOOD}/"
        yield f"https://{EVIL}{odd}.{GOOD}/"
        yield f"https:/{odd}/{EVIL}/"
        yield f"/{odd}/{EVIL}/"
        yield f"https://{GOOD}:{odd}443/"
    for odd in ODD:
        yield f"{odd}https://{EVIL}/"
        yield f"{odd}https://{GOOD}/"
        yield f"https://{GOOD}/{odd}"
        yield f"https://{GOOD}/?a={odd}b"
        yield f"ht{odd}tps://{GOOD}/"
        yield f"{odd}/x"
    for dot in DOTS:
        yield f"https://{GOOD}{dot}{EVIL}/"
        yield f"https://app{dot}example{dot}net/"
        yield f"https://apps{dot}example{dot}com/"


def look_alikes() -> Iterator[str]:
    """Yield hosts that begin, end or look like an allowed host."""
    for host in (
        f"{GOOD}.{EVIL}", f"evil{GOOD}", f"{GOOD}.", f"{GOOD}..", f".{GOOD}", f"{GOOD}{EVIL}",
        "example.com", "apps.example.com", "apps.example.com.", ".apps.example.com",
        "evilapps.example.com", "x.evilapps.example.com", "x.apps.example.com.evil.net",
        "x.apps.example.comevil", "x.apps.example.com..", "*.apps.example.com",
        "x..apps.example.com",
        "-.apps.example.com", "www.app.example.com", "app.example.co", "app.example.co.m",
        "app-example.com", "app.example.com-", "appexample.com", "app.examp1e.com",
        "\u0430pp.example.com",
        "app.ex\u0430mple.com", "app.example.\u0441\u043em", "\u24d0pp.evil.net",
        "app.example.com\u2024evil.net",
        "bucher.example", "xn--bcher-kva.evil.net", "xn--bücher.example", "bücher.example.evil.net",
        "localhost", "127.0.0.1", "0x7f.1", "2130706433", "017700000001", "0", "[::]", "[::1",
        "::1", "[::1].evil.net", "[::1]evil.net", "[::ffff:127.0.0.1]", "[::1%25eth0]", "[v1.x]",
        "[::2]", "[0:0:0:0:0:0:0:2]", "[]", "169.254.169.254", "", " ",
        "a" * 64 + ".apps.example.com",
        "%61pp.example.com", "app%2eexample%2ecom", "app.example.com%00", "app.example.com%0d%0a",
        "app.example.com%23", "app.example.com%3f", f"{GOOD},{EVIL}", f"{GOOD};{EVIL}",
        f"{GOOD}&{EVIL}", f"{GOOD}|{EVIL}", f"{GOOD}^{EVIL}", f"{GOOD}<{EVIL}", f'{GOOD}"{EVIL}',
        f"{GOOD}'{EVIL}", f"{GOOD}`{EVIL}", f"{GOOD}!{EVIL}", f"{GOOD}${EVIL}", f"{GOOD}({EVIL})",
        f"{GOOD}+{EVIL}", f"{GOOD}={EVIL}", f"{GOOD}~{EVIL}", f"{GOOD}_{EVIL}", f"{GOOD}{{{EVIL}}}",
    ):  # fmt: skip  # rows of a table
        yield f"https://{host}/"
        yield f"http://{host}:8080/a?b#c"


def ports_and_nesting() -> Iterator[str]:
    """Yield invalid ports, and values that contain other values."""
    for port in ("0", "00", "65536", "99999", "-1", "+1", "8o", "0x50", "8 0", "", "443:443",
                 "\uff11", "\u0664",
                 f"@{EVIL}", f"{EVIL}", "443\\", "443%40", "443@", "1e3", "000080"
    ):  # fmt: skip  # rows of a table
        yield f"https://{GOOD}:{port}/"
        yield f"https://{EVIL}:{port}/{GOOD}"
    for host in (EVIL, f"{GOOD}.{EVIL}", f"www.{EVIL}"):
        for rest in (f"?rd=https://{GOOD}/", f"#https://{GOOD}/", f"/https://{GOOD}/", f"#@{GOOD}/",
                     f"?@{GOOD}", f"/{GOOD}", f"/..;/{GOOD}", f";{GOOD}", f"\\.{GOOD}", f"#.{GOOD}",
                     f"?.{GOOD}", f":80#@{GOOD}/", f":80?@{GOOD}/", f"%23.{GOOD}"
        ):  # fmt: skip  # rows of a table
            yield f"https://{host}{rest}"
    for path in ("//", "/\\", "//evil.net", "/\\evil.net", "\\evil.net", "/a\\b", "/\t/evil.net",
                 "/\\\\evil.net", "///evil.net", "//%2fevil.net", "/a\\..\\b"
    ):  # fmt: skip  # rows of a table
        yield f"https://{GOOD}{path}"
        yield path
    yield f"https://{GOOD}/" + "a" * MAX_RD_BYTES
    yield f"https://{GOOD}/" + "é" * (MAX_RD_BYTES // 2)
    yield "/" + "a" * MAX_RD_BYTES
    yield f"https://{GOOD}/\ud800"


HOSTILE = sorted(
    {
        value
        for family in (off_origin, userinfo, odd_characters, look_alikes, ports_and_nesting)
        for value in family()
    }
)

BENIGN = [
    "https://app.example.com/",
    "https://app.example.com/?",
    "https://app.example.com/#",
    "http://app.example.com/",
    "https://app.example.com:8443/",
    "https://app.example.com:1/a",
    "https://app.example.com:65535/a",
    "http://app.example.com:443/a",
    "https://one.apps.example.com/",
    "https://a.b.c.apps.example.com/x/y",
    "https://x_y.apps.example.com/",
    "https://xn--bcher-kva.example/",
    "https://[::1]:8443/",
    "https://app.example.com/a/b//c/../d",
    "https://app.example.com/a%2Fb%5C%2e%00?c=%ff%zz",
    "https://app.example.com/a;b=c,d/@e:f!$&'()*+=~",
    "https://app.example.com/?filter[a]=1&filter[b]=2",
    "https://app.example.com/?next=https://evil.net/%2F%2Fa",
    "https://app.example.com/?next=//evil.net",
    "https://app.example.com/?a=1&a=2&&=",
    "https://app.example.com/?user@host",
    "https://app.example.com/?#a?b#c",
    "https://app.example.com/%C3%A9?q=%E2%82%AC#%20",
    "https://app.example.com/javascript:alert(1)",
    "https://app.example.com/login?rd=%2F",
    "https://app.example.com/" + "a" * 8000,
    "/",
    "/a?b=c",
    "/a//b/../c?d=//evil.net#e",
    "/%2Fevil.net",
    "/@evil.net",
    "/:80",
    "/https://evil.net",
    "/a?b=%5C#%5C",
]

WRITTEN_ANEW = {
    "HTTPS://APP.Example.COM": "https://app.example.com/",
    "hTTp://app.example.com:80?a": "http://app.example.com/?a",
    "https://app.example.com:443#a": "https://app.example.com/#a",
    "https://app.example.com:00081/": "https://app.example.com:81/",
    "https://app.example.com./": "https://app.example.com/",
    "https://Bücher.example/ü?ä#ö": "https://xn--bcher-kva.example/%C3%BC?%C3%A4#%C3%B6",
    "https://app\u3002example\uff0ecom/": "https://app.example.com/",
    "https://\uff41pp.example.com/": "https://app.example.com/",
    "https://[0:0::0:1]/": "https://[::1]/",
    'https://app.example.com/<">^`{|}?<">\\^`{|}': (
        "https://app.example.com/%3C%22%3E%5E%60%7B%7C%7D?%3C%22%3E%5C%5E%60%7B%7C%7D"
    ),
    "/ü": "https://auth.example.com/%C3%BC",
}


def browser_reads(text: str) -> URL | None:
    try:
        return URL(text, base=OWN + "/login")
    except (ValueError, UnicodeEncodeError):
        return None


def is_allowed(url: URL | None) -> bool:
    if url is None or url.protocol not in ("http:", "https:") or url.username or url.password:
        return False
    # A trailing dot names the same host, without a search list.
    host = url.hostname.removesuffix(".")
    return host in ALLOWED or host.endswith(".apps.example.com")


def check(value: str) -> None:
    """Assert that the target is allowed, plain, and equal to a browser's reading of `value`."""
    target = REDIRECTS.target(value)
    assert is_allowed(browser_reads(target)), target
    assert target.isascii()
    assert target.isprintable()
    assert not set(target) & set(' "<>\\^`{|}')
    assert REDIRECTS.is_safe(value) or target == DEFAULT
    raw, read = browser_reads(value), browser_reads(target)
    if REDIRECTS.is_safe(value) and raw and read:
        assert (raw.protocol, raw.hostname.removesuffix(".")) == (read.protocol, read.hostname)
        assert raw.port == read.port
    assert target.startswith(origin_of(target) + "/")


def test_there_are_hundreds_of_hostile_values() -> None:
    assert len(HOSTILE) >= 600
    # Most would lead to another host or to none if they were sent unchanged. Most of the others,
    # which a browser accepts, are refused as well; the rest end in a path, query or fragment.
    leading_away = [value for value in HOSTILE if not is_allowed(browser_reads(value))]
    assert len(leading_away) >= 450
    accepted = [value for value in HOSTILE if REDIRECTS.is_safe(value)]
    assert len(accepted) < 50


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_lead_to_the_default(value: str) -> None:
    check(value)
    if not is_allowed(browser_reads(value)):
        assert REDIRECTS.target(value) == DEFAULT
        assert not REDIRECTS.is_safe(value)


@pytest.mark.parametrize("value", BENIGN)
def test_benign_values_stay_unchanged(value: str) -> None:
    check(value)
    assert REDIRECTS.is_safe(value)
    assert REDIRECTS.target(value) == (OWN + value if value.startswith("/") else value)


@pytest.mark.parametrize(("value", "target"), WRITTEN_ANEW.items())
def test_lenient_forms_are_normalised(value: str, target: str) -> None:
    check(value)
    assert REDIRECTS.target(value) == target
    assert REDIRECTS.target(target.removeprefix(OWN)) == target


def test_without_hosts_only_paths_are_allowed() -> None:
    nowhere = Redirects((), OWN, DEFAULT)
    assert nowhere.target(f"https://{GOOD}/") == nowhere.target(f"{OWN}/x") == DEFAULT
    assert nowhere.target("/x") == f"{OWN}/x"


PIECES = st.sampled_from([
    "https:", "http:", "/", "//", "@", ":", "?", "#", ".", "%", "[", "]", "[::1]", "443", "apps",
    "xn--", "xn--a", "\u00fc", "\u00df", "\u017f", "\u212a", GOOD, EVIL, "x.apps.example.com",
    ".apps.example.com", *ODD, *SLASHES, *DOTS,
])  # fmt: skip  # rows of a table
ANY_TEXT = st.text(st.characters(codec=None), max_size=40)


@settings(max_examples=1000)
@given(ANY_TEXT)
@example("\ud800")
def test_any_text_leads_to_an_allowed_host(text: str) -> None:
    for value in (
        text,
        f"https://{text}",
        f"https://{GOOD}{text}",
        f"https://{text}{GOOD}/",
        f"/{text}",
    ):
        check(value)


@pytest.mark.slow
@settings(max_examples=3000)
@given(st.lists(PIECES, max_size=10).map("".join))
def test_any_pieces_lead_to_an_allowed_host(text: str) -> None:
    for value in (text, f"https://{text}", f"https://{text}.apps.example.com/"):
        check(value)


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("/x", "auth.example.com"),
        ("https://App.Example.com:8443/x", "app.example.com"),
        ("https://evil.net/", "evil.net"),
        ("https://app.example.com/ x", ""),
        ("//evil.net", ""),
        ("", ""),
    ],
)
def test_host_of_a_value(value: str, host: str) -> None:
    assert REDIRECTS.host_of(value) == host


def test_the_front_page_of_a_long_url() -> None:
    assert front_page("https://app.example.com:8443/" + "a" * 9000) == (
        "https://app.example.com:8443/"
    )
    for url in ("/" + "a" * 9000, "https://app.example.com/\n", "https://a@app.example.com/"):
        assert front_page(url) == ""
