"""The deciding rule, near misses, and unreachable rules."""

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from authgw.cli import main
from authgw.config.loader import load
from authgw.core.explain import unreachable, unsatisfiable
from tests.support.random_rules import HOSTS, METHODS, a_line, a_path, compiled
from tests.support.rules import asked

RULES = """\
rules:
  - {host: "*.example.com", path: ["/public/**", "=/health"], allow: anyone}
  - {host: admin.example.com, allow: ["group:admins", "user:alice"]}
  - {host: app.example.com, path: /v1/**, method: [GET, HEAD], allow: authenticated}
  - {host: app.example.com, from: [10.0.0.0/8], allow: authenticated}
"""
HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRz$aGFzaGhhc2hoYXNoaGFzaA"
USERS = f"""\
alice: {{password: "{HASH}", groups: [users], email: alice@example.com}}
bob: {{password: "{HASH}", groups: [admins, staff]}}
"""


def run(folder: Path, *words: str, rules: str = RULES, users: str = USERS) -> Result:
    (folder / "config.yml").write_text(rules)
    (folder / "users.yml").write_text(users)
    return CliRunner().invoke(main, ["--config", str(folder / "config.yml"), *words])


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (["GET", "https://app.example.com/public/x"], 0, "decided by rules[0] (config.yml:2)"),
        (["GET", "https://admin.example.com/x"], 3, "decided by rules[1] (config.yml:3)"),
        (["--user", "alice", "GET", "https://admin.example.com/x"], 0, "Remote-User: alice"),
        (["--user", "bob", "GET", "https://admin.example.com/x"], 0, "Remote-Groups: admins,staff"),
        (
            ["--group", "x", "GET", "https://admin.example.com/x"],
            1,
            "needs group:admins, user:alice",
        ),
        (["--group", "admins", "GET", "https://admin.example.com/x"], 0, "allow"),
        (["POST", "https://app.example.com/v1/x"], 1, "method is not GET or HEAD"),
        (["GET", "https://app.example.com/v2/x"], 1, "path is not /v1/**"),
        (["GET", "https://app.example.com/v2/x"], 1, "no address is not in its networks"),
        (["--from", "10.1.1.1", "GET", "https://app.example.com/v2/x"], 3, "rules[3]"),
        (["GET", "https://other.test/"], 1, "decided by no rule"),
        (["GET", "https://app.example.com/a/../v1/x"], 1, "path_ambiguous"),
        (["GET", "app.example.com"], 1, "malformed"),
        (["get", "https://app.example.com/"], 1, "malformed"),
    ],
)
def test_explain(tmp_path: Path, words: list[str], status: int, expected: str) -> None:
    result = run(tmp_path, "rules", "explain", *words)
    assert expected in result.output
    assert result.exit_code == status


def test_explain_for_programs(tmp_path: Path) -> None:
    words = ("rules", "explain", "--json", "--user", "carol", "GET", "https://admin.example.com/x")
    report = json.loads(run(tmp_path, *words).output)
    assert (report["verdict"], report["reason"]) == ("deny", "not_permitted")
    assert report["rule"] == {"number": 1, "origin": "config.yml:3"}
    assert report["headers"]["X-Authgw-Reason"] == "not_permitted"
    assert [miss["number"] for miss in report["near"]] == [0]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("allow: authenticated", "passes next to a session cookie, except NTLM and Negotiate"),
        ("allow: authenticated, foreign: deny", "is refused (foreign: deny)"),
        ("allow: authenticated, credentials: bearer", "is refused: this rule accepts no cookie"),
        (
            "allow: authenticated, credentials: app-password",
            "is refused: this rule accepts no cookie",
        ),
        (
            "allow: authenticated, upstream_auth: connection",
            "passes next to a session cookie, NTLM and Negotiate too (upstream_auth: connection)",
        ),
        ("allow: anyone", "passes"),
    ],
)
def test_explain_reports_the_treatment_of_foreign_credentials(
    tmp_path: Path, rule: str, expected: str
) -> None:
    words = ("rules", "explain", "GET", "https://a.test/")
    rules = f"rules: [{{{rule}}}]"
    text = run(tmp_path, *words, rules=rules).output
    assert f"an Authorization header that is not authgw's {expected}\n" in text
    as_json = json.loads(run(tmp_path, *words, "--json", rules=rules).output)
    assert as_json["foreign"] == expected


def test_explain_without_rules(tmp_path: Path) -> None:
    words = ("rules", "explain", "GET", "https://a.test/")
    assert run(tmp_path, *words, rules="").exit_code == 3
    assert run(tmp_path, *words, "--user", "x", rules="").exit_code == 0


@pytest.mark.parametrize(
    ("earlier", "later", "is_unreachable"),
    [
        ('host: "*.example.com"', "host: app.example.com, path: /a/**", True),
        ('host: "*.example.com"', "host: example.com", False),
        ('host: "*.example.com"', 'host: "*.b.example.com"', True),
        ("path: /**", "host: a.test, path: /x", True),
        ("path: /a/**", "path: /a/b*", True),
        ("path: /a/**", "path: [/a, =/a/b]", True),
        ("path: /a/**", "path: /a*", False),
        ("path: /a/**", "path: [/a/x, /b]", False),
        ('path: "/a/**"', 'path: "/a/**"', True),
        ("path: [/b, /a/**]", "path: /a/**", True),
        ("path: /a/**", "path: /a/b/**", True),
        ("path: /a/**", "path: '=/a'", True),
        ("path: /**", "path: '/*'", True),
        ("path: /a/*", "path: /a/b", True),
        ("path: /a/*", "path: /a/b/**", False),
        ('regex: "/a.*"', "path: /a/b", True),
        ("path: /a/**", 'regex: "/a/.*"', False),
        ("path: /x", "host: a.test", False),
        ("method: [GET, POST]", "method: GET", True),
        ("method: GET", "method: [GET, POST]", False),
        ("method: GET", "method: GET, preflight: allow", False),
        ("method: GET, preflight: allow", "method: GET, preflight: allow", True),
        ("from: 10.0.0.0/8", "from: [10.1.0.0/16, 10.2.0.1]", True),
        ("from: 10.0.0.0/8", "from: [10.1.0.0/16, 192.0.2.1]", False),
        ("from: 10.0.0.0/8", "host: a.test", False),
        ("from: 10.0.0.0/8", "from: [unix]", False),
        ('from: "2001:db8::/32"', 'from: "2001:db8:1::/48"', True),
        ('from: "2001:db8::/32"', "from: 10.0.0.0/8", False),
    ],
)
def test_rules_that_can_never_match(
    tmp_path: Path, earlier: str, later: str, is_unreachable: bool
) -> None:
    text = f"rules:\n  - {{{earlier}, allow: anyone}}\n  - {{{later}, allow: authenticated}}\n"
    result = run(tmp_path, "config", "check", rules=text)
    assert (
        "rules[1] can never match, since rules[0] (config.yml:2) takes" in result.output
    ) == is_unreachable
    assert result.exit_code == (1 if is_unreachable else 0), result.output


def test_unreachable_rules_never_decide() -> None:
    dice = random.Random(5)
    for _ in range(300):
        lines = [a_line(dice) for _ in range(6)]
        rules = compiled(lines)
        unreachable_numbers = {rule.number for rule, _ in unreachable(rules)}
        for _ in range(40 if unreachable_numbers else 0):
            access = asked(a_path(dice), dice.choice(HOSTS), dice.choice(METHODS), "10.1.2.3")
            rule = rules.match(access).rule
            assert rule is None or rule.number not in unreachable_numbers


def test_a_misspelled_group_is_reported(tmp_path: Path) -> None:
    text = 'rules:\n  - {allow: ["group:admin", "group:granted-by-a-client"]}\n'
    result = run(tmp_path, "config", "check", rules=text)
    assert result.exit_code == 1
    assert "config.yml:2: rules[0].allow: no user is in group:admin" in result.output
    assert "did you mean group:admins?" in result.output
    assert "granted-by-a-client" not in result.output


@pytest.mark.parametrize("users", ["a: {}", "a: [", "a: {password: secret-1}", "a: {password: 1}"])
def test_a_broken_users_file_is_refused_without_its_secrets(tmp_path: Path, users: str) -> None:
    result = run(tmp_path, "config", "check", users=users)
    assert result.exit_code == 1
    assert "users.yml:" in result.output
    assert "secret-1" not in result.output


def test_a_login_page_outside_the_cookie_domain_is_refused(tmp_path: Path) -> None:
    text = 'login: {url: "https://auth.example.org/login", cookie_domain: example.com}\n'
    result = run(tmp_path, "config", "check", rules=text)
    assert "config.yml:1: login.url" in result.output
    assert "auth.example.org is outside login.cookie_domain example.com" in result.output
    inside = text.replace("example.org", "example.com")
    assert run(tmp_path, "config", "check", rules=inside).exit_code == 0


@pytest.mark.parametrize(
    "login",
    [
        "url: /login",
        "url: ftp://a.test/",
        "url: 'http://a.test/ x'",
        "url: 'http://['",
        "url: 'https://a.test/#x'",
        "cookie_domain: .example.com",
        "cookie_domain: com",
    ],
)
def test_invalid_login_settings_are_refused(tmp_path: Path, login: str) -> None:
    result = run(tmp_path, "config", "check", rules=f"login: {{{login}}}\n")
    assert (result.exit_code, "config.yml:1: login." in result.output) == (1, True)


def test_unreachable_rules_are_reported_at_start(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("rules: [{allow: anyone}, {allow: authenticated}]\n")
    assert "rules[1] can never match" in load(tmp_path / "config.yml", {}).rule_warnings[0]


@pytest.mark.parametrize(
    ("allow", "more", "is_found"),
    [
        ("'user:client/shop:a'", "require: totp", True),
        ("authenticated", "require: totp, credentials: app-password", True),
        ("authenticated", "require: totp, credentials: [app-password, cookie]", False),
        ("'group:a'", "require: totp", False),
        ("'user:a'", "require: totp", False),
        ("'user:client/shop:a'", "method: GET", False),
    ],
)
def test_a_second_factor_that_no_caller_has_is_found(
    tmp_path: Path, allow: str, more: str, is_found: bool
) -> None:
    path = tmp_path / "config.yml"
    path.write_text(f"rules:\n  - {{allow: {allow}, {more}}}\n")
    rules = load(path, {}).rules
    assert rules is not None
    assert [*unsatisfiable(rules)] == [*rules.ordered][: int(is_found)]
