"""Checks of login pages: cookies that browsers reject, and cookies that overlap.

A browser rejects a cookie for a public suffix (RFC 6265 section 5.3, step 5; publicsuffix.org), for
an address with a Domain, and a Secure cookie over plain http (RFC 6265bis section 5.7). A login
page with such a cookie would be shown again after every login.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from urllib.parse import urlsplit

from publicsuffixlist import PublicSuffixList

from authgw.core.login_sites import LoginSite, LoginSites
from authgw.core.rules import Credential, Rule
from authgw.files.key_errors import key_text

Page = tuple[tuple[str, ...], LoginSite]
Problem = tuple[tuple[str, ...], str]


def rejected_cookies(pages: Sequence[Page]) -> Iterator[Problem]:
    """Yield the keys of login pages with an invalid cookie, each with the reason and a remedy.

    Keys are below the section `login`.
    """
    for path, site in pages:
        yield from _cookie_problems(path, site)
    for (first_path, first), (path, site) in combinations(pages, 2):
        message = _conflict(key_text(("login", *first_path)), first, site)
        if message:
            yield path, message


def _cookie_problems(path: tuple[str, ...], site: LoginSite) -> Iterator[Problem]:
    domain = site.cookie_domain
    if domain and is_address(domain):
        message = "is an IP address, for which browsers accept no cookie domain: remove the key"
        yield (*path, "cookie_domain"), message
    elif domain and is_public_suffix(domain):
        yield (
            (*path, "cookie_domain"),
            f"{domain} is a public suffix, so that browsers discard the cookie: write your own "
            f"domain below it, such as example.{domain}, or remove the key",
        )
    if site.secure and urlsplit(site.url).scheme == "http" and not is_localhost(site.host):
        yield (
            (*path, "url"),
            f"{site.url} is not https, so that browsers discard the session cookie, which is "
            "Secure: serve the page by https, and write https:// here",
        )


def _conflict(first_key: str, first: LoginSite, site: LoginSite) -> str:
    """Return the conflict between two login pages, or an empty text."""
    if first.host == site.host:
        return f"has the same host as {first_key}: keep one page for each host"
    domain, other = site.cookie_domain, first.cookie_domain
    if domain and other and (_is_below(domain, other) or _is_below(other, domain)):
        return (
            f"cookie_domain {domain} overlaps with {other} of {first_key}, so that browsers send "
            "two sessions to the same host: give each page a domain of its own"
        )
    return ""


def page_warnings(sites: LoginSites) -> Iterator[str]:
    """Yield warnings about login pages that are valid but perhaps mistakes."""
    for site in sites.all:
        if not site.is_ours:
            yield (
                f"login.url {site.url} does not end in /login, so that it is a page of your own: "
                f"for the gateway's page write {site.origin}{site.base}."
            )
    for first, second in combinations(sites.all, 2):
        for wide, narrow in ((first, second), (second, first)):
            if narrow.cookie_domain is None and wide.host != narrow.host:
                yield from _overlap_warnings(wide, narrow)


def _overlap_warnings(wide: LoginSite, narrow: LoginSite) -> Iterator[str]:
    if wide.covers(narrow.host):
        yield (
            f"login.url {narrow.url}: browsers may send two sessions to this host, since the "
            f"cookie of {wide.url} reaches it too: give the pages separate domains."
        )


def uncovered_rules(rules: Sequence[Rule], sites: LoginSites) -> Iterator[str]:
    """Yield a warning for each rule whose host receives no session cookie of a login page."""
    for rule in rules if sites.all else ():
        if rule.host is None or rule.allow.anyone or not _accepts_cookies(rule):
            continue
        if not any(_covers(site, rule.host) for site in sites.all):
            yield (
                f"{rule.origin}: rules[{rule.number}].host: browsers cannot log in at {rule.host}, "
                "which no login page's cookie reaches: correct login.cookie_domain, add a page "
                "to login.domains, or write credentials: bearer."
            )


def _accepts_cookies(rule: Rule) -> bool:
    return rule.credentials is None or Credential.COOKIE in rule.credentials


def _covers(site: LoginSite, host: str) -> bool:
    if not host.startswith("*."):
        return site.covers(host)
    return site.cookie_domain is not None and _is_below(host[2:], site.cookie_domain)


def _is_below(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def is_localhost(host: str) -> bool:
    """Return True for `localhost` and names below it, which need no https.

    Browsers trust these hosts (Secure Contexts section 3.1).
    """
    return host == "localhost" or host.endswith(".localhost")


def is_address(host: str) -> bool:
    """Return True if browsers take a canonical host for an address."""
    # Browsers parse a name whose last label is a number as an address (WHATWG URL, section 3.5).
    return host.startswith("[") or host.rpartition(".")[2].isdigit()


def is_public_suffix(domain: str) -> bool:
    """Return True for a domain under which everybody may register (publicsuffix.org)."""
    return bool(_suffixes().is_public(domain))


@lru_cache(1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
