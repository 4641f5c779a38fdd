"""Limits are defined in core.limits alone, and stated as they are."""

import ast
import re
from pathlib import Path

import pytest

import authgw
from authgw.core import limits
from authgw.core.reasons import REASONS

PACKAGE = Path(authgw.__file__).parent
ROOT = PACKAGE.parent
_LIMIT = re.compile(r"_?(?:[A-Z]+_)*(MAX|MOST|LONGEST|LARGEST|LIMIT)(_[A-Z]+)*")
# Where the docstring of core.limits leaves limits to the module that needs them.
_ELSEWHERE = (
    "storage/",
    "doctor/",
    "config/schema.py",
    "config/values.py",
    "identity/passwords.py",
)
# Rounds of compare-and-set and sessions of a round trip belong to the store's protocol.
_OF_STORES = {"services/sessions.py": "_MAX_ROUNDS", "services/confirmations.py": "_MAX_BATCH"}


def test_no_other_module_defines_a_limit() -> None:
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        name = str(path.relative_to(PACKAGE))
        if name == "core/limits.py" or name.startswith(_ELSEWHERE):
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                texts = [each.id for each in targets if isinstance(each, ast.Name)]
                found |= {(name, text) for text in texts if _LIMIT.fullmatch(text)}
    assert found == set(_OF_STORES.items()), "move it to authgw/core/limits.py"


def test_every_limit_is_used() -> None:
    sources = [path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "limits.py"]
    names = [name for name in vars(limits) if name.isupper()]
    assert len(names) > 50
    assert [name for name in names if not any(name in source for source in sources)] == []


# Each with a pattern whose groups are the numbers that the text states.
_STATED = [
    (
        "docs/reference/limits.md",
        r"\| connections \| ([\d,]+), or the descriptors .* beyond (\d+) \|",
        (limits.MAX_CONNECTIONS, limits.RESERVED_DESCRIPTORS),
    ),
    (
        "docs/reference/limits.md",
        r"\| call to an identity provider \| (\d+) s and (\d+) MiB; (\d+) at once for a provider, "
        r"(\d+) of them for logins, for which (\d+) more wait",
        (
            limits.PROVIDER_CALL_TIMEOUT,
            limits.MAX_PROVIDER_RESPONSE_BYTES // 2**20,
            limits.MAX_PROVIDER_CALLS,
            limits.MAX_LOGIN_CALLS,
            limits.MAX_WAITING_CALLS,
        ),
    ),
    (
        "docs/reference/limits.md",
        r"\| first request of a connection \| (\d+) s",
        (limits.FIRST_REQUEST_TIMEOUT,),
    ),
    (
        "docs/reference/limits.md",
        r"\| line of the request, each header \| (\d+) KB",
        (limits.MAX_HEADER_LINE_BYTES // 1024,),
    ),
    (
        "docs/reference/limits.md",
        r"\| headers \| (\d+), and (\d+) KB",
        (limits.MAX_HEADERS, limits.MAX_HEAD_BYTES // 1024),
    ),
    (
        "docs/reference/limits.md",
        r"\| cached checks .* and ([\d,]+) targets, each with at most (\d+) KB",
        (limits.MAX_CACHED_CHECKS, limits.MAX_CACHED_HEADERS_BYTES // 1024),
    ),
    (
        "docs/reference/limits.md",
        r"\| cached checks \| (\d+) MB of callers",
        (limits.MAX_CACHED_CALLERS_BYTES // 1024**2,),
    ),
    (
        "docs/reference/limits.md",
        r"\| cached refusals \| ([\d,]+) targets .* responses of at most (\d+) KB",
        (limits.MAX_CACHED_REFUSALS, limits.MAX_CACHED_REFUSAL_BYTES // 1024),
    ),
    (
        "docs/reference/limits.md",
        r"\| commands to a Redis without a reply \| ([\d,]+) on",
        (limits.MAX_WAITING_COMMANDS,),
    ),
    (
        "docs/reference/limits.md",
        r"\| body \| (\d+) KiB, complete within (\d+) s",
        (limits.MAX_JSON_BYTES // 1024, limits.BODY_TIMEOUT),
    ),
    (
        "docs/reference/limits.md",
        r"\| token, depth and numbers of JSON \| (\d+) KiB",
        (limits.MAX_TOKEN_BYTES // 1024,),
    ),
    (
        "docs/reference/limits.md",
        r"\| token of an identity provider \| (\d+) KiB",
        (limits.MAX_PROVIDER_TOKEN_BYTES // 1024,),
    ),
    (
        "docs/reference/limits.md",
        r"\| key set of an identity provider \| (\d+) keys, RSA keys of 2,048 to ([\d,]+) bits",
        (limits.MAX_PROVIDER_KEYS, limits.MAX_PROVIDER_RSA_BITS),
    ),
    (
        "docs/how-to/migration.md",
        r"over (\d+) KiB, or incomplete after (\d+) s",
        (limits.MAX_JSON_BYTES // 1024, limits.BODY_TIMEOUT),
    ),
    ("docs/explanation/guarantees.md", r"link of up to ([\d,]+) bytes", (limits.MAX_RD_BYTES,)),
    ("docs/explanation/threats.md", r"over (\d+) KiB refused", (limits.MAX_TOKEN_BYTES // 1024,)),
    (
        "docs/reference/rules.md",
        r"header is longer than (\d+) KiB",
        (limits.MAX_AUTHORIZATION_BYTES // 1024,),
    ),
    (
        "docs/reference/http-api.md",
        r"at most (\d+) KiB and arrives\s+within (\d+) s",
        (limits.MAX_JSON_BYTES // 1024, limits.BODY_TIMEOUT),
    ),
    (
        "docs/how-to/login-pages.md",
        r"\| (\d+) wrong passwords from an address within (\d+) s on a replica",
        (limits.PER_STRANGER.max_failures, limits.PER_STRANGER.window),
    ),
    (
        "docs/how-to/login-pages.md",
        r"at most ([\d,]+) bytes, as the browser",
        (limits.MAX_RD_BYTES,),
    ),
    (
        "docs/how-to/foreign-authorization.md",
        r"header over (\d+) KiB",
        (limits.MAX_AUTHORIZATION_BYTES // 1024,),
    ),
    ("authgw/web/openapi.yml", r"to go on to, at most ([\d,]+) bytes", (limits.MAX_RD_BYTES,)),
    ("authgw/web/openapi.yml", r"At most (\d+) bytes of UTF-8", (limits.MAX_TEXT_BYTES,)),
    ("authgw/web/openapi.yml", r"At most ([\d,]+) bytes together", (limits.MAX_GROUPS_BYTES,)),
    ("authgw/web/openapi.yml", r"one over ([\d,]+) bytes is refused", (limits.MAX_TOKEN_BYTES,)),
]


@pytest.mark.parametrize(("path", "pattern", "numbers"), _STATED)
def test_texts_state_the_limits_of_the_table(
    path: str, pattern: str, numbers: tuple[float, ...]
) -> None:
    match = re.search(pattern, (ROOT / path).read_text())
    assert match is not None, "the sentence has changed: change its pattern as well"
    assert tuple(float(group.replace(",", "")) for group in match.groups()) == numbers


def test_the_reason_of_a_large_body_states_the_limits() -> None:
    meaning = REASONS["body_too_large"].meaning
    assert f"over {limits.MAX_JSON_BYTES // 1024} KiB" in meaning
    assert f"over {limits.MAX_FORM_BYTES // 1024} KiB as a form" in meaning
