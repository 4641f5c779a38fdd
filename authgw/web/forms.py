"""Forms of our own pages, read strictly, and proof that a page of ours sent them."""

import hmac
from urllib.parse import parse_qsl

from aiohttp import web

from authgw.core.errors import BodyMalformed, BodyTooLarge, BodyUnsupported, CrossSite
from authgw.core.sites import Site
from authgw.dialects.headers import values
from authgw.web.bodies import MAX_BODY_BYTES, whole
from authgw.web.cookies import helpers

FORM = "application/x-www-form-urlencoded"


async def read_form(request: web.Request, *known: str) -> dict[str, str]:
    """The fields of a form, each at most once; those that did not come are empty.

    Raises:
        BodyUnsupported: another content type, or compressed.
        BodyTooLarge: over 16 KiB.
        BodyTooSlow: not there in time.
        BodyMalformed: no form of UTF-8 text, a field twice, or one that is not `known`.
    """
    length = request.content_length
    if length is not None and length > MAX_BODY_BYTES:
        raise BodyTooLarge
    if request.content_type != FORM or "Content-Encoding" in request.headers:
        raise BodyUnsupported
    raw = await whole(request)
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=len(known),
        )
    except ValueError:
        raise BodyMalformed("the body is not a form of ours") from None
    fields = dict(pairs)
    if len(fields) != len(pairs) or not set(fields) <= set(known):
        raise BodyMalformed("the form has an unknown field, or one twice")
    return dict.fromkeys(known, "") | fields


async def own_form(request: web.Request, site: Site, *known: str) -> dict[str, str]:
    """The fields of a form that a page of ours sent.

    Raises:
        CrossSite: another site sent it, or its token is not this browser's; as `read_form`.
    """
    check_origin(request, site)
    form = await read_form(request, "token", *known)
    token, ours = form["token"].encode(), helpers(request, site, "csrf")
    if not token or not any(hmac.compare_digest(one.encode(), token) for one in ours):
        raise CrossSite
    return form


def check_origin(request: web.Request, site: Site) -> None:
    """Refuse what a page of another origin sent (Fetch, section 3.2; Fetch Metadata).

    A browser always says where a POST comes from; one that says nothing is none.

    Raises:
        CrossSite: another origin, `null`, or nothing at all.
    """
    said = values(request.raw_headers, "Origin")
    if said:
        if said != [site.origin.encode("ascii")]:
            raise CrossSite
        return
    if values(request.raw_headers, "Sec-Fetch-Site") != [b"same-origin"]:
        raise CrossSite
