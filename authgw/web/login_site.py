"""The login site that a request was sent to."""

from aiohttp import web

from authgw.core.errors import MisdirectedError
from authgw.core.login_sites import LoginSite
from authgw.web.context import GATEWAY, host_of


def login_site(request: web.Request) -> LoginSite:
    """Return the login site of this request's host.

    Raises:
        MisdirectedError: other hosts have a login site, this host has not.
        HTTPMethodNotAllowed: no host has a login site; only programs use this path, by POST.
        HTTPNotFound: no host has a login site, and this path is only for browsers.
    """
    sites = request[GATEWAY].policy.sites
    site = sites.serving(host_of(request))
    if site is not None:
        return site
    if sites.all:
        raise MisdirectedError
    if request.method != "POST" and request.path in ("/login", "/logout"):
        raise web.HTTPMethodNotAllowed(request.method, ["POST"])
    raise web.HTTPNotFound
