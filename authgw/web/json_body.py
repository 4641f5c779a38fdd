"""Strict parsing of JSON bodies: a single object with known keys."""

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
from authgw.web.api_request import JsonBody

JSON_TYPES = ("application/json", "text/json")


async def read_body(sent: JsonBody, *known: str, forgiving: bool = False) -> dict[str, Any]:
    """Return the JSON object of a body, empty if the request has none.

    A body without a type is parsed as JSON, unless a browser sent it: other sites can send such a
    body without a preflight (Fetch, section 2.2.2). `forgiving` ignores it if it is not JSON.

    Raises:
        BodyUnsupportedError: the body is not application/json, or is compressed.
        BodyTooLargeError: the body exceeds MAX_JSON_BYTES.
        BodyTooSlowError: the body did not arrive in BODY_TIMEOUT.
        BodyMalformedError: the body is not a single JSON object, or has keys that are not `known`.
    """
    if sent.length is not None and sent.length > MAX_JSON_BYTES:
        raise BodyTooLargeError
    if sent.length == 0:
        return {}
    untyped = not sent.media_type
    if untyped and sent.is_from_browser:
        raise BodyUnsupportedError
    if not untyped and sent.media_type not in JSON_TYPES:
        raise BodyUnsupportedError
    if sent.is_compressed:
        raise BodyUnsupportedError
    try:
        body = read_object((await sent.read()).removeprefix(BOM_UTF8))
    except ValueError:
        if untyped and forgiving:
            return {}
        raise BodyMalformedError("the body is not one JSON object") from None
    if not body.keys() <= {*known}:
        raise BodyMalformedError(f"unknown key; this endpoint takes {', '.join(known)}")
    return body


async def read_bytes(request: web.Request, max_bytes: int) -> bytes:
    """Return a body of at most `max_bytes`.

    Raises:
        BodyTooLargeError: the body is larger.
        BodyTooSlowError: the body did not arrive in BODY_TIMEOUT.
        BodyMalformedError: the connection or the chunked encoding ended early.
    """
    try:
        if request.content.is_eof():
            # It has arrived, or has failed already: there is nothing to wait for.
            body = await request.read()
        else:
            async with asyncio.timeout(BODY_TIMEOUT):
                body = await request.read()
    except TimeoutError:
        raise BodyTooSlowError from None
    except ConnectionError:
        raise BodyMalformedError("the connection ended before the body did") from None
    except web.RequestPayloadError:
        raise BodyMalformedError("the body is not chunked as Transfer-Encoding says") from None
    if len(body) > max_bytes:
        raise BodyTooLargeError
    return body


def user_id(value: Any) -> int:
    """Return `value` if it is an integer from 1 to 2^63-1.

    Raises:
        BodyMalformedError: any other value, true, 1.0 and "7" included.
    """
    if type(value) is not int or not 1 <= value <= MAX_USER_ID:
        raise BodyMalformedError("user_id must be an integer from 1 to 9223372036854775807")
    return value


def text(body: dict[str, Any], key: str) -> str:
    """Return a text that is safe in a header, empty if the key is absent.

    Raises:
        BodyMalformedError: the value is not a text, is longer than MAX_TEXT_BYTES, contains control
            characters, or has spaces at its edges.
    """
    if key not in body:
        return ""
    value = body[key]
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
    """Return the group names of this body.

    Raises:
        BodyMalformedError: the value is not a list of names, or exceeds MAX_GROUPS_BYTES.
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
    """Return a boolean of this body, False if the key is absent.

    Raises:
        BodyMalformedError: the value is not a boolean.
    """
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise BodyMalformedError(f"{key} must be true or false")
    return value
