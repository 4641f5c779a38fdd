"""Types of the values in the sections: how each is written, and the remedy if it is not valid."""

import re
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StrictBool, StrictInt

from authgw.config.scalars import comma_separated, parse_boolean, parse_integer
from authgw.core.errors import TargetMalformedError
from authgw.core.login_sites import host_of
from authgw.core.networks import checked_entry
from authgw.core.urls import canonical_host
from authgw.storage.registry import kind_of

DURATION_PATTERN = r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+"
_DURATION = re.compile(DURATION_PATTERN)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
MAX_DURATION = 100 * 365 * 86400.0  # seconds
_HEADER_NAME = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
# Requests with an identity header are denied, and browsers or proxies send these headers.
_RESERVED_HEADER = re.compile(
    r"accept|(proxy-)?authorization|cache-control|connection|content-.*|cookie|date|destination"
    r"|expect|forwarded|host|keep-alive|location|origin|referer|sec-.*|set-cookie|te|trailer"
    r"|transfer-encoding|upgrade|user-agent|via|www-authenticate|x-authgw-.*|x-original-.*"
    r"|x-forwarded-(for|host|method|port|proto|uri)|x-real-ip|x-request(-id|ed-with)"
)
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_MIN_STALENESS = 0.1  # seconds
_VISIBLE = re.compile(r"[!-~]+")
_MIN_REFRESH = 60.0  # seconds
_MAX_SKEW = 300.0  # seconds


def parse_duration(value: Any) -> float:
    """Return a duration such as `15m`, `720h` or `1h30m` in seconds; only 0 needs no unit.

    Raises:
        ValueError: The value is not a duration, or longer than 100 years.
    """
    if (value == 0 and not isinstance(value, bool)) or value == "0":
        return 0.0
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise ValueError("is not a duration: write it with its unit, such as 90s, 15m or 720h")
    parts = re.findall(r"([\d.]+)([a-z]+)", value)
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if total > MAX_DURATION:
        raise ValueError("is longer than 100 years: shorten it")
    return total


def _log_place(text: str) -> str:
    if text not in ("stderr", "syslog") and "/" not in text:
        raise ValueError("is unknown: write stderr, syslog, or the path of a file, with a /")
    return text


def format_duration(seconds: float) -> str:
    """Return a duration as it is written in the configuration, in its greatest whole unit."""
    milliseconds = round(seconds * 1000)
    for unit in ("h", "m", "s"):
        count, rest = divmod(milliseconds, round(_UNITS[unit] * 1000))
        if count and not rest:
            return f"{count}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0"


def _staleness(duration: float) -> float:
    if 0 < duration < _MIN_STALENESS:
        raise ValueError(
            "is too short to have an effect: write at least 100ms, or 0 to read the store at every "
            "request"
        )
    return duration


def _refresh(duration: float) -> float:
    if duration < _MIN_REFRESH:
        raise ValueError("is too short: write at least 1m, or remove the key for no refresh")
    return duration


def _skew(duration: float) -> float:
    if duration > _MAX_SKEW:
        raise ValueError("is too long: write at most 5m, and set the clocks")
    return duration


def _store_url(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    kind_of(text).validate(text)
    return url


def _page_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ValueError(
            "is not the URL of a page: write all of it, such as https://auth.example.com/login"
        )
    if not _VISIBLE.fullmatch(url):
        raise ValueError("contains a space or a character outside ASCII: percent-encode it")
    if not _is_canonical(host_of(url)):
        raise ValueError("contains a host that browsers cannot reach: correct its name")
    return url


def _domain(text: str) -> str:
    if not text.startswith(".") and _is_canonical(text) and "." in text:
        return text
    raise ValueError("is not a valid domain: write it without a leading dot, such as example.com")


def _host_pattern(text: str) -> str:
    if not _is_canonical(text.removeprefix("*.")):
        raise ValueError("is not a valid host: write app.example.com or *.example.com")
    return text


def _colour(text: str) -> str:
    if not _COLOUR.fullmatch(text):
        raise ValueError(
            'is not a valid colour: write six hexadecimal digits in quotes, such as "#0a7a70"'
        )
    return text


def _is_canonical(host: str) -> bool:
    try:
        return canonical_host(host) == host
    except TargetMalformedError:
        return False


def _listening_host(text: str) -> str:
    # An empty text would mean every address of this machine.
    if _is_ip(text.partition("%")[0]) or (not text.startswith("[") and _is_canonical(text)):
        return text
    raise ValueError(
        "is not an address to listen on: write 127.0.0.1, 0.0.0.0 or ::, without port and brackets"
    )


def _store_host(text: str) -> str:
    bracketed = text.startswith("[") and text.endswith("]")
    if re.search(r"[/@?#,\s]", text) or (":" in text and not bracketed):
        raise ValueError(
            "is not the name of a single host: write redis or [::1], and the port into cache.port"
        )
    return text


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(
            "is not a valid header name: write letters, digits and single dashes, such as "
            "Remote-User"
        )
    if _RESERVED_HEADER.fullmatch(name.lower()):
        raise ValueError(
            "is a header with another meaning for proxies and apps: write Remote-User or X-..."
        )
    return name


Integer = Annotated[StrictInt, BeforeValidator(parse_integer)]
Boolean = Annotated[StrictBool, BeforeValidator(parse_boolean)]
Text = Annotated[str, Field(min_length=1)]
SocketPath = Annotated[str, Field(min_length=1, max_length=100)]
Duration = Annotated[float, BeforeValidator(parse_duration)]
PositiveDuration = Annotated[float, BeforeValidator(parse_duration), Field(gt=0)]
Network = Annotated[str, AfterValidator(checked_entry)]
ListeningHost = Annotated[Text, AfterValidator(_listening_host)]
HostPattern = Annotated[str, AfterValidator(_host_pattern)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
Port = Annotated[Integer, Field(ge=1, le=65535)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(comma_separated)]
HostPatterns = Annotated[tuple[HostPattern, ...], BeforeValidator(comma_separated)]
StoreUrl = Annotated[SecretStr, AfterValidator(_store_url)]
StoreHost = Annotated[Text, AfterValidator(_store_host)]
LogPlace = Annotated[Text, AfterValidator(_log_place)]
RefreshInterval = Annotated[Duration, AfterValidator(_refresh)]
Skew = Annotated[Duration, AfterValidator(_skew)]
Staleness = Annotated[Duration, AfterValidator(_staleness)]
PageUrl = Annotated[str, AfterValidator(_page_url)]
CookieDomain = Annotated[str, AfterValidator(_domain)]
Colour = Annotated[str, AfterValidator(_colour)]
