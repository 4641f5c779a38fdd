"""Typical mistakes in `config.yml`, and the message that answers each.

`{dir}` in a message stands for the directory of the installation.
"""

from dataclasses import dataclass, field

_LOGIN = "login: {url: 'https://auth.example.com/login', cookie_domain: example.com}\n"


@dataclass(frozen=True)
class Mistake:
    """Files and variables with a mistake, a command, its status and the message.

    Attributes:
        name: The mistake in a few words.
        message: The message without its prefix; `{dir}` stands for the directory.
        files: The contents of files, by path below the directory.
        environ: Variables of the environment.
        command: The words of the command after `authgw`.
        status: The exit status: 0 for a warning.
        mode: The mode of the files.
    """

    name: str
    message: str
    files: dict[str, str] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    command: str = "config check"
    status: int = 1
    mode: int = 0o600


def config(name: str, text: str, message: str, status: int = 1) -> Mistake:
    return Mistake(name, message, {"config.yml": text}, status=status)


def _rule(name: str, keys: str, message: str, status: int = 1) -> Mistake:
    return config(name, f"rules:\n  - {{host: app.example.com, {keys}}}\n", message, status)


YAML = (
    config(
        "host pattern without quotes",
        "rules:\n  - host: *.example.com\n    allow: authenticated\n",
        "config.yml:2: is not valid YAML: quote the value of `host`, which begins with *",
    ),
    config(
        "colour without quotes",
        "login:\n  color: #0a7a70\n",
        "config.yml:2: login.color: begins with #, which YAML does not read as text: "
        "put the value in quotes",
    ),
    config(
        "tab",
        "server:\n\tport: 8080\n",
        "config.yml:2: is not valid YAML: a tab indents this line: indent with spaces, not tabs",
    ),
    config(
        "missing colon",
        "server:\n  port 8080\n  host: 127.0.0.1\n",
        "config.yml:3: is not valid YAML: line 2 has no colon after its key, or this line is "
        "indented too far: write `KEY: VALUE`, and begin all keys of a section in the same column",
    ),
    config(
        "no space after the colon",
        "server:\n  port:8080\n",
        "config.yml:1: server: `port` has no colon and space after it: write `port: VALUE`",
    ),
    config(
        "uneven indentation",
        "server:\n  port: 8080\n host: 127.0.0.1\n",
        "config.yml:3: is not valid YAML: this line is not indented as the lines before it: begin "
        "all keys of a section in the same column",
    ),
    config(
        "quote that is not closed",
        'login:\n  product: "Home\n  totp: optional\n',
        "config.yml:4: is not valid YAML: the quote that opens in line 2 is not closed: close it",
    ),
    config(
        "key written twice",
        "server: {port: 8080}\nserver: {host: 127.0.0.1}\n",
        "config.yml:2: server: is duplicated: remove one",
    ),
)

VALUES = (
    config(
        "misspelled key of a rule",
        "rules:\n  - hots: app.example.com\n    allow: authenticated\n",
        "config.yml:2: rules[0].hots: unknown key: did you mean host?",
    ),
    config(
        "duration without unit",
        "auth:\n  access_lifetime: 900\n",
        "config.yml:2: auth.access_lifetime: is not a duration: write it with its unit, such as "
        "90s, 15m or 720h",
    ),
    config(
        "duration with another unit",
        "auth:\n  auto_logout: 5min\n",
        "config.yml:2: auth.auto_logout: is not a duration: write it with its unit, such as "
        "90s, 15m or 720h",
    ),
    config(
        "number in quotes",
        "server:\n  port: '8080'\n",
        "config.yml:2: server.port: is not a valid integer: write plain digits without quotes, "
        "such as 8080",
    ),
    config(
        "port that does not exist",
        "server:\n  port: 80800\n",
        "config.yml:2: server.port: is too large: write at most 65535",
    ),
    config(
        "level that does not exist",
        "logging:\n  level: verbose\n",
        "config.yml:2: logging.level: is not a valid value: write debug, info, warning or error",
    ),
    config(
        "list instead of text",
        "rules:\n  - host: [a.example.com, b.example.com]\n    allow: authenticated\n",
        "config.yml:2: rules[0].host: is not text: write a single value, in quotes if YAML "
        "misreads it",
    ),
    config(
        "name instead of an address",
        "server:\n  trusted_proxies: [nginx]\n",
        "config.yml:2: server.trusted_proxies[0]: is not a network: write an IP address, a network "
        "such as 10.0.0.0/8, or unix",
    ),
    config(
        "every address trusted",
        "server:\n  trusted_proxies: [0.0.0.0/0]\n",
        "server.trusted_proxies contains every address, so that any client that reaches this port "
        "can choose the path that is checked: write the addresses of your proxies only.",
        status=0,
    ),
    config(
        "metrics on the gateway's port",
        "server:\n  port: 9090\n",
        "metrics.port: 9090 is server.port too, so that no metrics are served: set another port.",
        status=0,
    ),
    config(
        "issuer with half a URL",
        "auth:\n  issuer: https:/auth.example.com\n",
        "auth.issuer contains a colon and is not a URI (RFC 7519 section 2), so that programs may "
        "refuse the tokens: write it as https://auth.example.com, or without a colon.",
        status=0,
    ),
)

LOGIN = (
    config(
        "login page by http",
        "login:\n  url: http://auth.example.com/login\n",
        "config.yml:2: login.url: http://auth.example.com/login is not https, so that browsers "
        "discard the session cookie, which is Secure: serve the page by https, and write https:// "
        "here",
    ),
    config(
        "login page without scheme",
        "login:\n  url: auth.example.com/login\n",
        "config.yml:2: login.url: is not the URL of a page: write all of it, such as "
        "https://auth.example.com/login",
    ),
    config(
        "cookie for another domain",
        "login:\n  url: https://auth.example.com/login\n  cookie_domain: example.org\n",
        "config.yml:2: login.url: host auth.example.com is outside login.cookie_domain "
        "example.org, so that browsers discard the cookie: write a domain that contains the host",
    ),
    config(
        "cookie for a public suffix",
        "login:\n  url: https://auth.co.uk/login\n  cookie_domain: co.uk\n",
        "config.yml:3: login.cookie_domain: co.uk is a public suffix, so that browsers discard the "
        "cookie: write your own domain below it, such as example.co.uk, or remove the key",
    ),
    config(
        "cookie domain with a dot",
        "login:\n  url: https://auth.example.com/login\n  cookie_domain: .example.com\n",
        "config.yml:3: login.cookie_domain: is not a valid domain: write it without a leading dot, "
        "such as example.com",
    ),
    config(
        "rule for a domain without a login page",
        _LOGIN + "rules: [{host: app.other.lan, allow: authenticated}]\n",
        "config.yml:2: rules[0].host: browsers cannot log in at app.other.lan, which no login "
        "page's cookie reaches: correct login.cookie_domain, add a page to login.domains, or "
        "write credentials: bearer.",
        status=0,
    ),
    Mistake(
        "recipe without a login page",
        "login.url is not set, so Caddy would not publish the login page: set it to the public "
        "address of the page, such as https://auth.example.com/login",
        command="caddy write recipe",
    ),
)

RULES = (
    _rule(
        "plural of user",
        "allow: 'users:alice'",
        "config.yml:2: rules[0].allow: unknown subject: did you mean user:alice? If not, use "
        "anyone, authenticated, group:NAME, user:NAME or provider:NAME",
    ),
    _rule(
        "group without `group:`",
        "allow: admins",
        "config.yml:2: rules[0].allow: unknown subject: did you mean group:admins or user:admins? "
        "If not, use anyone, authenticated, group:NAME, user:NAME or provider:NAME",
    ),
    _rule(
        "group with a space",
        "allow: 'group:Domain Users'",
        "config.yml:2: rules[0].allow: is not a valid name of a group: write 1 to 64 of "
        "A-Z a-z 0-9 . _ : @ / -",
    ),
    _rule("rule without allow", "path: /x", "config.yml:2: rules[0].allow: is missing: add it"),
    _rule(
        "method in lower case",
        "method: get, allow: authenticated",
        "config.yml:2: rules[0].method: is not a valid method: write capitals, such as GET; "
        "several as a list, [GET, POST]",
    ),
    _rule(
        "path without a slash",
        "path: admin, allow: authenticated",
        "config.yml:2: rules[0].path: admin is not a valid path: begin it with /, and write at "
        "most 1024 characters",
    ),
    _rule(
        "regular expression that is not closed",
        "regex: '/a(', allow: authenticated",
        "config.yml:2: rules[0].regex: is not a valid regular expression of RE2 (missing ): /a(): "
        "correct it",
    ),
    config(
        "URL as host",
        "rules:\n  - host: https://app.example.com/\n    allow: authenticated\n",
        "config.yml:2: rules[0].host: is not a valid host: write app.example.com or "
        "*.example.com, without scheme, port and path",
    ),
    config(
        "rules in the wrong order",
        "rules:\n  - allow: authenticated\n  - {host: admin.example.com, allow: 'group:admins'}\n",
        "config.yml:3: rules[1] can never match, since rules[0] (config.yml:2) takes every request "
        "for admin.example.com: move it before rules[0], or remove it.",
    ),
    config(
        "rules without an entry",
        "rules:\n",
        "config.yml:1: rules: is empty, so that every request would be denied: write rules, or "
        "remove the key",
    ),
)

CONFIGURATION_MISTAKES = (*YAML, *VALUES, *LOGIN, *RULES)
