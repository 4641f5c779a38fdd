"""Reading bodies strictly: one plain JSON object of known keys, or a clear refusal."""

import asyncio
from codecs import BOM_UTF8
from typing import Any

from aiohttp import web

from authgw.core.errors import (
    BodyMalformedError,
    BodyTooLargeError,
    BodyTooSlowError,
    BodyUnsupportedError,
)
from authgw.core.limits import (
    BODY_TIMEOUT,
    MAX_GROUPS_BYTES,
    MAX_JSON_BYTES,
    MAX_TEXT_BYTES,
    MAX_USER_ID,
)
from authgw.core.strict_json import read_object
from authgw.core.users import GROUP_NAME, is_header_safe

_JSON = ("application/json", "text/json")
_OF_BROWSERS = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode")


async def read_body(request: web.Request, *known: str, forgiving: bool = False) -> dict[str, Any]:
    """The JSON object of a request; an absent body is an empty one.

    A body without a type is read as JSON, unless a browser sent it: to send one from another site
    takes no preflight (Fetch, section 2.2.2). `forgiving` ignores one that is not JSON.

    Raises:
        BodyUnsupportedError: not application/json, or compressed.
        BodyTooLargeError: over 16 KiB.
        BodyTooSlowError: not there in time.
        BodyMalformedError: not one JSON object, or one with keys that are not `known`.
    """
    length = request.content_length
    if length is not None and length > MAX_JSON_BYTES:
        raise BodyTooLargeError
    if not request.body_exists or length == 0:
        return {}
    untyped = not request.headers.get("Content-Type", "").strip()
    if untyped and any(header in request.headers for header in _OF_BROWSERS):
        raise BodyUnsupportedError
    if not untyped and request.content_type not in _JSON:
        raise BodyUnsupportedError
    if "Content-Encoding" in request.headers:
        raise BodyUnsupportedError
    try:
        body = read_object((await whole(request, MAX_JSON_BYTES)).removeprefix(BOM_UTF8))
    except ValueError:
        if untyped and forgiving:
            return {}
        raise BodyMalformedError("the body is not one JSON object") from None
    unknown = sorted(set(body) - set(known))
    if unknown:
        raise BodyMalformedError(f"unknown key; this endpoint takes {', '.join(known)}")
    return body


async def whole(request: web.Request, most: int) -> bytes:
    """All bytes of a body, at most so many.

    Raises:
        BodyTooLargeError: there are more.
        BodyTooSlowError: they did not come within 10 s; BodyMalformedError: they never will.
    """
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            body = await request.read()
    except TimeoutError:
        raise BodyTooSlowError from None
    except ConnectionError:
        raise BodyMalformedError("the connection ended before the body did") from None
    except web.RequestPayloadError:
        raise BodyMalformedError("the body is not chunked as Transfer-Encoding says") from None
    if len(body) > most:
        raise BodyTooLargeError
    return body


def user_id(value: Any) -> int:
    """An integer from 1 to 2^63-1, exactly.

    Raises:
        BodyMalformedError: anything else: true, 1.0 and "7" are no user ids.
    """
    if type(value) is not int or not 1 <= value <= MAX_USER_ID:
        raise BodyMalformedError("user_id must be an integer from 1 to 9223372036854775807")
    return value


def text(body: dict[str, Any], key: str) -> str:
    """A text of this body that a header can carry; absent is empty.

    Raises:
        BodyMalformedError: no text, over 255 bytes, with control characters or spaces at its edges.
    """
    value = body.get(key, "")
    if not isinstance(value, str):
        raise BodyMalformedError(f"{key} must be a string")
    if len(value.encode()) > MAX_TEXT_BYTES or value != value.strip():
        raise BodyMalformedError(
            f"{key} must be at most {MAX_TEXT_BYTES} bytes without spaces at its edges"
        )
    if not is_header_safe(value):
        raise BodyMalformedError(f"{key} holds a control character")
    return value


def groups(body: dict[str, Any]) -> tuple[str, ...]:
    """The group names of this body.

    Raises:
        BodyMalformedError: not a list of names, or over 4,096 bytes together.
    """
    value = body.get("groups", [])
    if not isinstance(value, list) or not all(
        isinstance(name, str) and GROUP_NAME.fullmatch(name) for name in value
    ):
        raise BodyMalformedError(
            "groups must be a list of names of A-Z a-z 0-9 . _ : @ / - (1 to 64)"
        )
    if sum(len(name) + 1 for name in value) > MAX_GROUPS_BYTES:
        raise BodyMalformedError(f"groups are over {MAX_GROUPS_BYTES} bytes together")
    return tuple(value)


def flag(body: dict[str, Any], key: str) -> bool:
    """A boolean of this body; absent is false.

    Raises:
        BodyMalformedError: anything but true or false.
    """
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise BodyMalformedError(f"{key} must be true or false")
    return value
