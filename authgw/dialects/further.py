"""Headers that name further methods and paths for the same request.

An app may follow them instead of the request line, or in addition to it, so each of them must be
allowed as well: overriding methods (`X-HTTP-Method-Override`), overriding paths (IIS and PHP
frameworks route by `X-Rewrite-URL` and `X-Original-URL`), and the Destination of COPY and MOVE.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from authgw.core.errors import DestinationDeniedError, OverrideDeniedError, TargetMalformedError
from authgw.core.limits import MAX_FURTHER_TARGETS
from authgw.core.model import FurtherTarget, Location
from authgw.core.urls import UNREADABLE_PATH, canonical_method, resolved

_METHODS = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
_PATHS = frozenset({"x-rewrite-url", "x-original-url"})
_DESTINATION = "destination"
# Names in the form of `headers.folded`.
NAMES = _METHODS | _PATHS | {_DESTINATION}
# RFC 4918 sections 9.8 and 9.9; BCOPY and BMOVE are Exchange's.
_WITH_DESTINATION = frozenset({"COPY", "MOVE", "BCOPY", "BMOVE"})


def further_targets(
    named: Sequence[tuple[str, str]], method: str, location: Location
) -> tuple[FurtherTarget, ...]:
    """Return the targets that headers (name from NAMES, value) add to a request.

    Raises:
        OverrideDeniedError: an overriding method cannot be parsed, or there are too many targets.
        DestinationDeniedError: COPY or MOVE does not name a single target on the same host.
    """
    methods = {method, *_methods(value for name, value in named if name in _METHODS)}
    places = {location, *_places(named, location)}
    if len(methods) * len(places) > MAX_FURTHER_TARGETS:
        raise OverrideDeniedError("too many headers name other methods or paths")
    pairs = [(verb, place) for verb in sorted(methods) for place in places]
    targets = [
        FurtherTarget("override_denied", verb, place)
        for verb, place in pairs
        if (verb, place) != (method, location)
    ]
    if methods & _WITH_DESTINATION:
        destinations = [value for name, value in named if name == _DESTINATION]
        targets.append(_destination(destinations, location))
    return tuple(targets)


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
            # Rules match the path only.
            yield replace(place, query=location.query)


def _destination(values: Sequence[str], location: Location) -> FurtherTarget:
    if len(values) != 1:
        raise DestinationDeniedError(f"COPY and MOVE name one Destination, not {len(values)}")
    place = resolved(values[0], location)
    if place is None:
        raise DestinationDeniedError("the Destination is on another host or cannot be read")
    return FurtherTarget("destination_denied", "PUT", place)
