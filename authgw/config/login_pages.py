"""Login pages whose cookie browsers refuse, or whose cookies get into each other's way.

A browser drops a cookie for a public suffix (RFC 6265 section 5.3, step 5; publicsuffix.org), for
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

Page = tuple[tuple[str, ...], LoginSite]
Problem = tuple[tuple[str, ...], str]


def refused_cookies(pages: Sequence[Page]) -> Iterator[Problem]:
    """Yield the keys of pages whose cookie cannot work, each with the reason and a remedy."""
    for path, site in pages:
        yield from _refused(path, site)
    for (first_path, first), (path, site) in combinations(pages, 2):
        said = _clash(".".join(first_path), first, site)
        if said:
            yield path, said


def _refused(path: tuple[str, ...], site: LoginSite) -> Iterator[Problem]:
    domain = site.cookie_domain
    if domain and _is_address(domain):
        said = "is an address, and a cookie has no domain of addresses: remove it"
        yield (*path, "cookie_domain"), said
    elif domain and _suffixes().is_public(domain):
        yield (
            (*path, "cookie_domain"),
            f"{domain} is a public suffix, under which everybody may register: browsers will "
            f"discard the cookie. Write your own domain below it, such as example.{domain}, or "
            "remove the key",
        )
    if site.secure and urlsplit(site.url).scheme == "http" and not _is_localhost(site.host):
        yield (
            (*path, "url"),
            f"{site.url} is not https: browsers will discard the session cookie, which is "
            "Secure. Serve the page by https and write https:// here",
        )


def _clash(first_key: str, first: LoginSite, site: LoginSite) -> str:
    """Return the reason why the second page cannot be used next to the first, or nothing."""
    if first.host == site.host:
        return f"has the host of {first_key}, which would take its place: keep one page for a host"
    mine, other = site.cookie_domain, first.cookie_domain
    if mine and other and (_is_below(mine, other) or _is_below(other, mine)):
        return (
            f"cookie_domain {mine} overlaps with {other} of {first_key}: browsers would send two "
            "sessions to the same host. Give each page a domain of its own"
        )
    return ""


def doubtful_pages(sites: LoginSites) -> Iterator[str]:
    """Yield what is valid and perhaps not meant."""
    for site in sites.all:
        if not site.is_ours:
            yield (
                f"login.url {site.url} does not end in /login, so that page is your own: the "
                f"gateway's pages are below {site.origin}{site.base}."
            )
    for first, second in combinations(sites.all, 2):
        for wide, narrow in ((first, second), (second, first)):
            if narrow.cookie_domain is None and wide.host != narrow.host:
                yield from _shadowed(wide, narrow)


def _shadowed(wide: LoginSite, narrow: LoginSite) -> Iterator[str]:
    if wide.covers(narrow.host):
        yield (
            f"login.url {narrow.url}: the cookie of {wide.url} reaches this host too, so that "
            "a browser may send two sessions there."
        )


def uncovered_rules(rules: Sequence[Rule], sites: LoginSites) -> Iterator[str]:
    """Yield the rules for hosts that the session cookie of no login page reaches."""
    for rule in rules if sites.all else ():
        if rule.host is None or rule.allow.anyone or not _takes_cookie(rule):
            continue
        if not any(_reaches(site, rule.host) for site in sites.all):
            yield (
                f"{rule.origin}: rules[{rule.number}] is for {rule.host}, which the cookie of no "
                "login page reaches, so that browsers cannot log in there: set "
                "login.cookie_domain, add a page to login.domains, or write credentials: bearer."
            )


def _takes_cookie(rule: Rule) -> bool:
    return rule.credentials is None or Credential.COOKIE in rule.credentials


def _reaches(site: LoginSite, host: str) -> bool:
    if not host.startswith("*."):
        return site.covers(host)
    return site.cookie_domain is not None and _is_below(host[2:], site.cookie_domain)


def _is_below(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _is_localhost(host: str) -> bool:
    # Browsers trust these without https (Secure Contexts section 3.1) and keep Secure cookies.
    return host.endswith(".localhost")


def _is_address(host: str) -> bool:
    # A name whose last label is a number is an address to a browser (WHATWG URL, section 3.5).
    return host.startswith("[") or host.rpartition(".")[2].isdigit()


@lru_cache(1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
