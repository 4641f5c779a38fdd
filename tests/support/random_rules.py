"""Random rules and paths, for the rule engine and its reference."""

import random
from typing import Any

from authgw.config.rules import RuleEntry, compile_rules
from authgw.core.rules import Rules
from tests.support import reference
from tests.support.reference import WrittenRule

HOSTS = ["app.example.com", "api.example.com", "a.b.example.com", "example.com", "other.test"]
SEGMENTS = [
    *("admin", "public", "a", "b", "Admin", "%61dmin", "adm%49n", "%2561dmin", "caf%C3%A9", "x.y"),
    *("..", ".", "", "%2e%2e", "..;", ";p", "a;x=1", "%2f", "a%2fb", "%5c", "\\", "%00", "%ff"),
    *("#", "%23", "%", "%zz", "%25", "\x7f", "\udcff", "é", "~", "a+b", "%2F..%2F"),
    *("%u002e%u002e", "admin.", "admin%20", "adm..in", "....", "...", "%uff0e", "%u2215", "%3F"),
    *("%ef%bc%8e%ef%bc%8e", "admin::$DATA", "x%e9", "ad%e2%80%8bmin", "%ef%bc%8f", "%252e%252e"),
]
PATTERNS = ["/**", "/admin/**", "/public/**", "=/", "=/a", "/a/*", "/*/b", "/Admin/*", "/a/b**"]
METHODS = ["GET", "GET", "HEAD", "POST", "OPTIONS", "PROPFIND", "get", "G T", ""]
WHOM = ["anyone", "authenticated", "group:admins", "group:users", "user:alice"]


def a_line(dice: random.Random) -> WrittenRule:
    def some(choices: list[str], most: int = 2) -> tuple[str, ...]:
        return tuple(dice.sample(choices, dice.randint(1, most)))

    return WrittenRule(
        allow=some(WHOM),
        host=dice.choice([None, "*.example.com", "*.b.example.com", *HOSTS[:3]]),
        path=some(PATTERNS) if dice.random() < 0.8 else (),
        method=some(["GET", "POST", "OPTIONS"]) if dice.random() < 0.3 else (),
        networks=("10.0.0.0/8",) if dice.random() < 0.2 else (),
        preflight=dice.random() < 0.2,
        encoded=some(sorted(reference.KINDS), 4) if dice.random() < 0.4 else (),
    )


def compiled(lines: list[WrittenRule]) -> Rules:
    entries = [RuleEntry.model_validate(written(line)) for line in lines]
    return compile_rules(entries, ["here"] * len(lines))


def written(line: WrittenRule) -> dict[str, Any]:
    """What somebody would write for it."""
    keys = {
        "allow": line.allow,
        "host": line.host,
        "path": line.path,
        "method": line.method,
        "preflight": "allow" if line.preflight else None,
        "encoded": line.encoded,
        "from": line.networks,
    }
    return {name: value for name, value in keys.items() if value}


def a_path(dice: random.Random) -> str:
    return "/" + "/".join(dice.choices(SEGMENTS, k=dice.randint(0, 4)))
