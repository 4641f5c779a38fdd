"""Request headers that apps accept from a proxy: a recipe sets or clears each of them.

A client could send any of them itself. Proxies drop spellings with `_` or `.` in place of `-`.
"""

_IDENTITY = (
    "Remote-User",
    "Remote-Groups",
    "Remote-Email",
    "Remote-Name",
    "Remote-Group",
    "X-Remote-User",
    "X-Remote-Group",
    "X-Remote-Groups",
    "X-Remote-Email",
    "X-Remote-Name",
    "X-Forwarded-User",
    "X-Forwarded-Groups",
    "X-Forwarded-Email",
    "X-Forwarded-Preferred-Username",
    "X-Auth-Request-User",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Email",
    "X-Auth-Request-Preferred-Username",
    "X-Authenticated-User",
    "X-Webauth-User",
    "X-Webauth-Email",
    "X-Webauth-Fullname",
)
_CERTIFICATE = (
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Tls-Client-Cert-Info",
    "X-Client-Cert",
    "X-Ssl-Cert",
    "X-Ssl-Client-Cert",
    "X-Ssl-Client-Dn",
    "X-Ssl-Client-S-Dn",
    "X-Ssl-Client-Verify",
    "Ssl-Client-Cert",
    "Ssl-Client-Subject-Dn",
    "Ssl-Client-Verify",
    "X-Arr-Clientcert",
)
_ADDRESS = (
    "Forwarded",
    "X-Forwarded",
    "Forwarded-For",
    "X-Forwarded-By",
    "X-Original-For",
    "X-Original-Forwarded-For",
    "Client-Ip",
    "X-Client-Ip",
    "True-Client-Ip",
    "X-Cluster-Client-Ip",
    "X-Originating-Ip",
    "X-Remote-Ip",
    "X-Remote-Addr",
    "X-Envoy-External-Address",
    "X-Azure-Clientip",
    "Cf-Connecting-Ip",
    "Cf-Connecting-Ipv6",
    "Fastly-Client-Ip",
    "Fly-Client-Ip",
    "Proxy-Client-Ip",
    "Wl-Proxy-Client-Ip",
)
_SCHEME_AND_HOST = (
    "X-Forwarded-Scheme",
    "X-Forwarded-Protocol",
    "X-Forwarded-Ssl",
    "X-Forwarded-Server",
    "X-Scheme",
    "X-Url-Scheme",
    "Front-End-Https",
    "X-Arr-Ssl",
    "X-Host",
    "X-Http-Host-Override",
    "X-Original-Host",
    "X-Original-Proto",
    "X-Original-Scheme",
    "X-Original-Port",
)
# Some frameworks route by these instead of the path that was checked.
_TARGET = (
    "X-Forwarded-Uri",
    "X-Forwarded-Path",
    "X-Forwarded-Prefix",
    "X-Forwarded-Method",
    "X-Original-Url",
    "X-Original-Uri",
    "X-Original-Path",
    "X-Original-Prefix",
    "X-Original-Method",
    "X-Rewrite-Url",
    "X-Override-Url",
    "X-Request-Uri",
    "X-Replaced-Path",
    "X-Script-Name",
    "X-Envoy-Original-Path",
)
# httpoxy: a CGI program reads it as HTTP_PROXY, the proxy for its own requests.
_CGI = ("Proxy",)

CLEARED_BY_MEANING = {
    "user": _IDENTITY,
    "client certificate": _CERTIFICATE,
    "address of the client": _ADDRESS,
    "scheme, host and port": _SCHEME_AND_HOST,
    "method and path": _TARGET,
    "proxy of a CGI program": _CGI,
}
CLEARED = tuple(name for names in CLEARED_BY_MEANING.values() for name in names)


def cleared_except(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the headers to clear in a recipe that sets the headers `names`."""
    excluded = {name.lower() for name in names}
    return tuple(name for name in CLEARED if name.lower() not in excluded)
