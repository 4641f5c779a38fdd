"""Models of servers with different readings of paths: none reaches a protected path."""

import posixpath
import re
import unicodedata
from collections.abc import Callable
from itertools import combinations
from urllib.parse import unquote, unquote_to_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from authgw.core.model import Principal, Verdict
from authgw.core.paths import ADMISSIBLE, Ambiguity, canonical_path
from authgw.core.rules import Rule, Rules, glob
from tests.support.rules import ADMINS, ANYONE, asked, rule, verdict

USER = Principal("u", "s", ("users",))


def as_bytes(raw: str) -> bytes:
    return raw.encode("utf-8", "surrogateescape")


def resolved(path: str) -> str:
    return "/" + posixpath.normpath("/" + path).lstrip("/")


def as_node(raw: str) -> str:
    """Node and Go: decode once, do not merge slashes, resolve dot segments."""
    return resolved(unquote(raw))


def as_nginx(raw: str) -> str:
    """Decode once, merge slashes, resolve."""
    return resolved(re.sub("/+", "/", unquote(raw)))


def as_tomcat(raw: str) -> str:
    """Cut parameters from each segment, then decode and resolve."""
    return resolved(unquote("/".join(part.partition(";")[0] for part in raw.split("/"))))


def as_tomcat_decoding_first(raw: str) -> str:
    return resolved("/".join(part.partition(";")[0] for part in unquote(raw).split("/")))


def as_twice(raw: str) -> str:
    """A proxy that decodes before an app that decodes, and an app that splits afterwards."""
    return resolved(re.split("[?#]", unquote(unquote(raw)))[0])


def as_iis(raw: str) -> str:
    """Decode `%u`, map by best fit of a code page, treat backslashes as slashes."""
    wide = re.sub("(?i)%u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), raw)
    text = unicodedata.normalize("NFKC", unquote(wide)).translate(
        {0x2215: "/", 0x2044: "/", 0x2216: "\\", 0x0101: "a"}
    )
    return as_windows(text.replace("\\", "/"))


def as_windows(text: str) -> str:
    """Open a file: remove dots and spaces at the end of a name, and streams."""
    path = resolved(text)
    names = [re.sub(":.*", "", name) if ":$" in name else name for name in path.split("/")]
    return resolved("/".join(name.rstrip(". ") for name in names))


def as_windows_decoding(raw: str) -> str:
    return as_windows(unquote(raw).replace("\\", "/"))


def removing(piece: str) -> Callable[[str], str]:
    """PHP: a filter that removes a text once and trusts the rest."""
    return lambda raw: resolved(unquote(raw).replace("\\", "/").replace(piece, ""))


def as_careless_utf8(raw: str) -> str:
    """A decoder that accepts overlong UTF-8."""

    def shortest(match: re.Match[bytes]) -> bytes:
        number = 0
        for byte in match[0]:
            number = number << 6 | byte & (0x3F if byte < 0xC0 else 0x07)
        return chr(number & 0x7F).encode()

    overlong = rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x81][\x80-\xbf]|\xf0\x80[\x80-\x81][\x80-\xbf]"
    text = re.sub(overlong, shortest, unquote_to_bytes(as_bytes(raw)))
    return resolved(text.decode("utf-8", "ignore"))


def as_folding(raw: str) -> str:
    """Normalise names and remove invisible characters."""
    text = unicodedata.normalize("NFKC", unquote(raw))
    return resolved("".join(char for char in text if unicodedata.category(char) != "Cf"))


def as_latin_1(raw: str) -> str:
    return resolved(unquote(raw, "latin-1"))


def as_filtering_first(raw: str) -> str:
    return resolved(unquote(raw.replace("..", "")))


SERVERS: list[Callable[[str], str]] = [
    as_filtering_first,
    *(as_node, as_nginx, as_tomcat, as_tomcat_decoding_first, as_twice, as_iis),
    *(as_windows_decoding, as_careless_utf8, as_folding, as_latin_1),
    *map(removing, ("../", "..")),
]
KINDS = sorted(ADMISSIBLE, key=lambda kind: kind.value)
SETS = [frozenset(chosen) for size in range(len(KINDS) + 1) for chosen in combinations(KINDS, size)]


def rules_admitting(kinds: frozenset[Ambiguity]) -> list[Rule]:
    return [
        rule(ADMINS, "/admin/**"),
        rule(ADMINS, "/café/**"),
        rule(ANYONE, "/public/**", encoded=kinds),
        rule(ANYONE, "/**", "/*/b/*", encoded=kinds),
    ]


def reaches(path: str) -> bool:
    return bool(re.match("(?i)/(admin|café)(/|$)", path))


TRAVERSALS = [
    *("/public/..%u2215admin/secret", "/public/%uff0e%uff0e/admin/x"),
    *("/public/%u002e%u002e/admin", "/public/%u2024%u2024/admin", "/public/%U002E./admin"),
    *("/public%u2216..%u2216admin", "/public/..%252fadmin/x", "/public/%252e%252e/admin"),
    *("/public/%25252e%25252e%25252fadmin", "/public/%25u002e%25u002e/admin"),
    *("/public/..%ef%bc%8fadmin", "/public/%ef%bc%8e%ef%bc%8e/admin", "/public/....//admin"),
    *("/public/..././admin", "/public/.../...//admin", "/public/....%2f%2fadmin"),
    *("/public/....%5c%5cadmin", "/public/....\\/admin", "/public/...//admin", "/public/.../"),
    *("/public/..;/admin", "/public/.;/../admin", "/public/..%3b/admin", "/public/;/../admin"),
    *("/public/%c0%ae%c0%ae/admin", "/public/..%c0%afadmin", "/public/%e0%80%ae%e0%80%ae/admin"),
    *("/public/%f0%80%80%ae./admin", "/public/..%c1%9cadmin", "/public/..%20/admin"),
    *("/public/.%20./x", "/public/..%5cadmin", "/public\\..\\admin", "/public/..%255cadmin"),
    *("/public%5c..%5cadmin", "/public/..%00/admin", "/public/.%00./admin"),
    *("/public/..%09/admin", "/public/..%0a/admin", "/public/.%ff./admin"),
    *("/public/..%c2%a0/admin", "/public/.%e2%80%8b./admin", "/%2e%2e/admin"),
    *("/public/..%23/admin", "/public/..%3f/admin", "/public//..//admin", "/public/.../.../"),
    # A filter that removes dots before it decodes.
    *("/public/%2e.../admin/x", "/public/..%2e./admin", "/public/.%2e../admin/x"),
    *("/public/%2e....%2e/admin", "/public/%2e%2e./admin/x"),
]
LOOKALIKES = [
    *("/admin./x", "/admin%20/x", "/admin::$DATA", "/admin:$I30:$INDEX_ALLOCATION/x"),
    *("/adm..in/x", "/adm../in/x", "/admin%3fx", "/admin%23", "/ad%e2%80%8bmin/x", "/%61dmin./x"),
    *("/%ef%bd%81dmin/x", "/caf%65%cc%81/x", "/%20admin/x", "/public/..admin/../x"),
    *("/adm%c2%adin", "/admin..../x", "/public%ef%bc%8f/x/../../admin", "/%e2%80%aeadmin"),
    "/ADMIN./x",
]
BEHIND_KINDS = [
    *("/%c1%a1dmin/x", "/adm%ffin/x", "/caf%e9/x", "/%u0061dmin/x", "/%u0101dmin/x", "//admin/x"),
    *("/admin;a=b/x", "/x;/../admin", "/%2561dmin", "/admin%5cx", "/%5cadmin%5cx", "/%2fadmin"),
    *("/admin%2fx", "/x%2f..%2fadmin", "/;x/admin", "/admin%u2215x", "/%25%36%31dmin"),
    "/admin%255cx",
]
LEGITIMATE = [
    *("/...", "/a/.../b", "/..foo", "/foo..bar", "/.well-known/x", "/a/.hidden", "/caf%C3%A9s/x"),
    *("/wiki/Washington,_D.C.", "/wiki/St.", "/a%20b.pdf", "/C%23/x", "/what%3F", "/v1/x:verb"),
    *("/%E6%97%A5%E6%9C%AC", "/2020%EF%BC%8F01.pdf", "/m%C2%B2", "/a$b", "/~u/x", "/*"),
    *("/e%CC%81", "/%F0%9F%91%A9%E2%80%8D%F0%9F%92%BB", "/a%22b", "/Inc.%20/x", "/" + "a/" * 300),
]
ADMITTED = [
    ("/public/@scope%2fname", {Ambiguity.SLASH}),
    ("/public/group%2Fproject%2Fsub", {Ambiguity.SLASH}),
    ("/public/100%25", {Ambiguity.PERCENT}),
    ("/public/100%25.pdf", {Ambiguity.PERCENT}),
    ("/public/a;v=1/b", {Ambiguity.SEMICOLON}),
    ("/public/a//b", {Ambiguity.DOUBLE_SLASH}),
    ("/public/https://x", {Ambiguity.DOUBLE_SLASH}),
    ("/public/src%5Cmain.rs", {Ambiguity.BACKSLASH}),
    ("/public/caf%E9.pdf", {Ambiguity.NOT_UTF8}),
    ("/public/%ff%fe%80", {Ambiguity.NOT_UTF8}),
    ("/public/%E9t%E9%2f%5C", {Ambiguity.NOT_UTF8, Ambiguity.SLASH, Ambiguity.BACKSLASH}),
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_a_dot_segment_in_any_spelling_is_never_allowed(path: str) -> None:
    assert not canonical_path(path).is_admissible
    for kinds in SETS:
        assert verdict(rules_admitting(kinds), asked(path), USER) is Verdict.DENY
        assert verdict(rules_admitting(kinds)[2:], asked(path), USER) is Verdict.DENY


@pytest.mark.parametrize("path", [*LOOKALIKES, *BEHIND_KINDS])
def test_paths_that_a_server_reads_as_another_rules_path_are_denied(path: str) -> None:
    for kinds in SETS:
        assert verdict(rules_admitting(kinds), asked(path), USER) is Verdict.DENY, kinds


@pytest.mark.parametrize("path", LEGITIMATE)
def test_unusual_names_are_allowed(path: str) -> None:
    assert verdict(rules_admitting(frozenset()), asked(path), USER) is Verdict.ALLOW
    below = verdict(rules_admitting(frozenset()), asked(f"/public{path}"), USER)
    assert below is Verdict.ALLOW


@pytest.mark.parametrize(("path", "kinds"), ADMITTED)
def test_a_rule_admits_exactly_the_kinds_that_it_names(path: str, kinds: set[Ambiguity]) -> None:
    for admitted in SETS:
        result = verdict(rules_admitting(admitted), asked(path), USER)
        assert (result is Verdict.ALLOW) == (kinds <= admitted), admitted


@pytest.mark.parametrize(
    ("pattern", "path", "allowed"),
    [
        ("/Inc./**", "/Inc./x", True),
        ("/wiki/*/edit", "/wiki/St./edit", True),
        ("/wiki/*/edit", "/wiki/a..b/edit", True),
        ("/a..b/**", "/a..b/x", True),
        ("/café/**", "/caf%C3%A9/x", True),
        ("/cafe\u0301/**", "/cafe%CC%81/x", True),
        ("/what?/*", "/what%3F/x", True),
        ("/files/*.pdf", "/files/caf%E9.pdf", True),
        ("=/files/caf\ufffd.pdf", "/files/caf%E9.pdf", False),
        ("=/files/café.pdf", "/files/caf%E9.pdf", False),
        ("/été/**", "/%C3%A9t%C3%A9/a%2fb", True),
        ("/my docs/**", "/my%20docs/a%2fb", True),
        ("/*.css", "/secret%3f.css", False),
        ("=/health", "/health.", False),
    ],
)
def test_a_rule_for_an_unusual_name_matches_it(pattern: str, path: str, allowed: bool) -> None:
    kinds = frozenset({Ambiguity.SLASH, Ambiguity.NOT_UTF8})
    result = verdict([rule(ANYONE, pattern, encoded=kinds)], asked(path), USER)
    assert (result is Verdict.ALLOW) == allowed


def test_a_pattern_with_endless_readings_matches_its_own_text() -> None:
    endless = "/" + "a../b. ??é..\u2025c./" * 400
    assert glob(endless[:1000] + "**").matches(endless[:1000])


PIECES = [
    *("admin", "public", "adm", "in", "ADMIN", "café", "caf", "e", "x", ".", "..", "/", "//"),
    *(";", " ", "%2e", "%2f", "%5c", "%252e", "%252f", "%25", "%3b", "%u002e", "%u2215"),
    *("%uff0e", "%u2216", "%c0%ae", "%c0%af", "%e0%80%ae", "%ff", "%e9", "%c3%a9", "%cc%81"),
    *("%ef%bc%8e", "%ef%bc%8f", "%e2%80%8b", "%3f", "%23", "%20", "%00", "\\", "::$DATA"),
    *("%c1%a1", "%u0061", "%61", "#"),
]
PATHS = st.lists(st.sampled_from(PIECES), max_size=9).map(lambda parts: "/" + "".join(parts))


@pytest.mark.slow
@settings(max_examples=4000)
@given(PATHS, st.sampled_from(SETS))
@example("/public/....//admin", frozenset(KINDS))
@example("/public/..%u2215admin", frozenset(KINDS))
@example("/adm%2e.in", frozenset())
def test_no_server_reaches_a_protected_path(path: str, kinds: frozenset[Ambiguity]) -> None:
    if verdict(rules_admitting(kinds), asked(path), None) is Verdict.ALLOW:
        reached = {server.__name__: server(path) for server in SERVERS}
        assert not {name for name, where in reached.items() if reaches(where)}, reached


@pytest.mark.slow
@settings(max_examples=1500)
@given(PATHS, st.sampled_from(SETS))
def test_no_server_leaves_the_only_rule(path: str, kinds: frozenset[Ambiguity]) -> None:
    only = Rules([rule(ANYONE, "/public/**", encoded=kinds)])
    if only.match(asked(f"/public{path}")).rule is not None:
        for server in SERVERS:
            assert re.match("/public(/|$)", server(f"/public{path}")), server
