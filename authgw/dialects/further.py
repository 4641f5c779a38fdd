"""Headers by which one request names further methods and addresses of its own.

An app may act by them in place of the request line, or besides it, so that each of them must be
allowed as well: methods that override (`X-HTTP-Method-Override`), paths that do (IIS and PHP
frameworks route by `X-Rewrite-URL` and `X-Original-URL`), and where COPY and MOVE write to.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from authgw.core.errors import DestinationDeniedError, OverrideDeniedError, TargetMalformedError
from authgw.core.model import FurtherTarget, Location
from authgw.core.urls import UNREADABLE_PATH, canonical_method, resolved

_METHODS = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
_PATHS = frozenset({"x-rewrite-url", "x-original-url"})
_DESTINATION = "destination"
# Folded, as `headers.folded` writes names.
NAMES = _METHODS | _PATHS | {_DESTINATION}
# RFC 4918 sections 9.8 and 9.9; those with B are Exchange's.
_WITH_DESTINATION = frozenset({"COPY", "MOVE", "BCOPY", "BMOVE"})
MAX_TARGETS = 16  # whoever sends more only wants them to be looked at


def further_targets(
    named: Sequence[tuple[str, str]], method: str, location: Location
) -> tuple[FurtherTarget, ...]:
    """Return what headers (name from NAMES, value) add to a request.

    Raises:
        OverrideDeniedError: an overriding method cannot be read, or there are too many.
        DestinationDeniedError: COPY or MOVE does not name one place on the same host.
    """
    methods = {method, *_methods(value for name, value in named if name in _METHODS)}
    places = {location, *_places(named, location)}
    if len(methods) * len(places) > MAX_TARGETS:
        raise OverrideDeniedError("too many headers name other methods or paths")
    pairs = [(verb, place) for verb in sorted(methods) for place in places]
    found = [
        FurtherTarget("override_denied", verb, place)
        for verb, place in pairs
        if (verb, place) != (method, location)
    ]
    if methods & _WITH_DESTINATION:
        places_to_write = [value for name, value in named if name == _DESTINATION]
        found.append(_destination(places_to_write, location))
    return tuple(found)


def _methods(values: Iterable[str]) -> Iterator[str]:
    for text in ",".join(values).split(","):
        verb = text.strip().upper()
        if verb:
            yield _method(verb)


def _method(text: str) -> str:
    try:
        return canonical_method(text)
    except TargetMalformedError:
        raise OverrideDeniedError("a header names another method, which cannot be read") from None


def _places(named: Sequence[tuple[str, str]], location: Location) -> Iterator[Location]:
    for name, value in named:
        if name in _PATHS and value:
            place = resolved(value, location) or replace(location, path=UNREADABLE_PATH)
            # Rules look at the path alone.
            yield replace(place, query=location.query)


def _destination(values: Sequence[str], location: Location) -> FurtherTarget:
    if len(values) != 1:
        raise DestinationDeniedError(f"COPY and MOVE name one Destination, not {len(values)}")
    place = resolved(values[0], location)
    if place is None:
        raise DestinationDeniedError("the Destination is on another host or cannot be read")
    return FurtherTarget("destination_denied", "PUT", place)
