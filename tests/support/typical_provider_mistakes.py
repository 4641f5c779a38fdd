"""Typical mistakes in `login.providers`, and the message that answers each."""

from tests.support.typical_mistakes import Mistake

_RULES = 'rules:\n  - {host: app.example.com, allow: "group:users"}\n'
_KEYS = {
    "issuer": "https://id.example.com",
    "client_id": "authgw",
    "client_secret_file": "secrets/company",
    "accept": "linked",
}


def _mistake(
    name: str,
    message: str,
    *,
    status: int = 1,
    login: str = "",
    rules: str = _RULES,
    **keys: str | None,
) -> Mistake:
    """A provider with other keys, those of None left out; `login` are more keys of the section."""
    lines = "".join(
        f"      {key}: {value}\n" for key, value in (_KEYS | keys).items() if value is not None
    )
    config = (
        f"login:\n  url: https://auth.example.com/login\n  cookie_domain: example.com\n{login}"
        f"  providers:\n    company:\n{lines}{rules}"
    )
    files = {"config.yml": config, "secrets/company": "a secret\n"}
    return Mistake(name, message, files, status=status)


PROVIDER_MISTAKES = (
    _mistake(
        "provider without accept",
        "config.yml:5: login.providers.company.accept: is missing: accept decides which accounts "
        "may log in: write linked, everyone, {{domains: [...]}}, {{groups: [...]}} or "
        "{{tenant: ID}}",
        accept=None,
    ),
    _mistake(
        "issuer with the path of the discovery document",
        "config.yml:6: login.providers.company.issuer: is the address of the discovery document: "
        "remove the part from /.well-known",
        issuer="https://id.example.com/.well-known/openid-configuration",
    ),
    _mistake(
        "issuer by http",
        "config.yml:6: login.providers.company.issuer: is http, over which anybody could read and "
        "change logins: write https://",
        issuer="http://id.example.com",
    ),
    _mistake(
        "issuer of every tenant",
        "config.yml:6: login.providers.company.issuer: is for the accounts of every tenant: write "
        "https://login.microsoftonline.com/TENANT-ID/v2.0",
        issuer="https://login.microsoftonline.com/common/v2.0",
    ),
    _mistake(
        "secret file of a provider that is missing",
        "login.providers.company.client_secret_file: {dir}/secrets/kc does not exist: create it, "
        "or correct the path",
        client_secret_file="secrets/kc",
    ),
    _mistake(
        "ca_file of a provider that is missing",
        "login.providers.company.ca_file: {dir}/secrets/ca.pem does not exist: create it, or "
        "correct the path",
        ca_file="secrets/ca.pem",
    ),
    _mistake(
        "ca_file of a provider that is no certificate",
        "login.providers.company.ca_file: {dir}/secrets/company has no readable certificates: "
        "write them in PEM form",
        ca_file="secrets/company",
    ),
    _mistake(
        "icon of a provider that is missing",
        "login.providers.company.icon: {dir}/kc.svg does not exist: create it, or correct the path",
        icon="kc.svg",
    ),
    _mistake(
        "names by an e-mail address of anybody",
        "config.yml:10: login.providers.company.subject: email lets every provider account choose "
        "its name: restrict login.providers.company.accept to {{domains: [...]}}, or write "
        "login.providers.company.email: trusted",
        subject="email",
    ),
    _mistake(
        "prefix without a separator",
        "config.yml:10: login.providers.company.groups.prefix: is not a prefix that keeps groups "
        "of the provider apart from local groups: end it with one of . _ : @ / - such as kc:",
        groups="{prefix: kc}",
    ),
    _mistake(
        "parameter of the flow in extra",
        "config.yml:10: login.providers.company.extra: contains state, which authgw sets itself: "
        "remove it (scope has a key of its own, scopes)",
        extra="{state: x}",
    ),
    _mistake(
        "auto beside passwords",
        "config.yml:4: login.auto: needs passwords: false and a single provider: write auto: false",
        login="  auto: true\n",
    ),
    _mistake(
        "links on the host of an app",
        "config.yml:4: login.self_service: needs a login page on a host of its own, but an app is "
        "at auth.example.com, too, whose scripts could use the account page: give login.url "
        "another host, or remove login.self_service",
        login="  self_service: [link]\n",
        rules='rules:\n  - {host: auth.example.com, allow: "group:users"}\n',
    ),
    _mistake(
        "rule for an unknown provider",
        "config.yml:11: rules[0].allow: login.providers has no provider compny: add it there, or "
        "remove provider:compny",
        rules='rules:\n  - {host: app.example.com, allow: "provider:compny"}\n',
    ),
    _mistake(
        "everybody of a public provider",
        "login.providers.company.accept is everyone, and anybody can have an account at "
        "accounts.google.com: write linked or {{domains: [...]}} to limit the logins.",
        status=0,
        issuer="https://accounts.google.com",
        accept="everyone",
    ),
    _mistake(
        "authenticated includes the accounts of a provider",
        "rules[0]: authenticated includes the accounts that login.providers.company.accept "
        "admits: write groups or users, or add provider:company if that is intended.",
        status=0,
        accept="{groups: [staff]}",
        rules="rules:\n  - {host: app.example.com, allow: authenticated}\n",
    ),
)
