"""Codec of the JSON records in which stores keep sessions."""

import json
import math
from dataclasses import fields
from operator import attrgetter
from sys import intern
from typing import Any

from authgw.core.compact_record import items_of, session_of
from authgw.core.sessions import Device, Generation, Session

_ENCODE = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_DECODE = json.JSONDecoder().raw_decode
_INVALID = (
    *(LookupError, ValueError, TypeError, AttributeError),
    *(OverflowError, RecursionError),
)


def dump(session: Session, *, compact: bool = False) -> str:
    """Encode a session as the JSON text that stores keep: an object with its fields by name.

    With `compact` it is an array, which the previous version cannot read; see `compact_record`.
    """
    items = items_of(session) if compact else None
    if items is not None:
        return _ENCODE(items)
    record = _SESSION.of(session)
    record["current"] = _GENERATION.of(session.current)
    record["client"] = _CLIENT.of(session.client)
    return _ENCODE(record)


def load(text: str | bytes) -> Session:
    """Decode a session from a text of either form; ignore fields of a newer version.

    Frequent values are interned, so that a mirror of many sessions stays small.

    Raises:
        ValueError: the text is not a session record.
    """
    try:
        decoded = text if isinstance(text, str) else text.decode()
        data, end = _DECODE(decoded)
        if end != len(decoded):
            raise ValueError("more than a session record")
        session = session_of(data) if isinstance(data, list) else _by_name(data)
        return _validated(session)
    except (
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ValueError(f"not a session record: {error!r}") from None


def _by_name(data: dict[str, Any]) -> Session:
    client, current = data["client"], data["current"]
    # Positional arguments: keywords would double the time of each decoded session.
    return Session(
        data["sid"],
        data["sub"],
        data["user_id"],
        tuple(map(intern, data["groups"])),
        data["email"],
        data["name"],
        intern(data["source"]),
        # Fail here for a value that is not a number, and not later in a comparison.
        data["created_at"] + 0.0,
        data["expires_at"] + 0.0,
        data["gen"],
        Generation(
            current["access_jti"],
            current["refresh_jti"],
            current["iat"],
            current["access_exp"],
            current["refresh_exp"],
        ),
        data["previous_refresh_jti"],
        data["rotated_at"],
        data["confirmed"],
        Device(intern(client["user_agent"]), intern(client["address"])),
        tuple(map(intern, data.get("amr", ()))),
        data.get("password_mark", ""),
        data.get("auth_time", 0.0) + 0.0,
        data.get("factor_time", 0.0) + 0.0,
        intern(data.get("issuer", "")),
        data.get("account", ""),
        data.get("idp_sid", ""),
        data.get("checked_at", 0.0) + 0.0,
        data.get("tried_at", 0.0) + 0.0,
        intern(data.get("groups_from", "")),
        data.get("sealed", ""),
    )


def _validated(session: Session) -> Session:
    """Return the session if all fields have their types.

    Raises:
        TypeError: a field has another type, or a time is not finite.
    """
    current, user_id = session.current, session.user_id
    previous, rotated_at = session.previous_refresh_jti, session.rotated_at
    texts = (
        *(session.sid, session.sub, session.email, session.name, session.password_mark),
        *(session.issuer, session.account, session.idp_sid, session.groups_from, session.sealed),
        *(current.access_jti, current.refresh_jti, "" if previous is None else previous),
    )
    if {*map(type, texts)} != {str}:
        raise TypeError("a text")
    if type(session.gen) is not int or (user_id is not None and type(user_id) is not int):
        raise TypeError("a number")
    times = (
        *(session.created_at, session.expires_at, current.iat, current.access_exp),
        *(session.auth_time, session.factor_time, session.checked_at, session.tried_at),
        *(current.refresh_exp, 0.0 if rotated_at is None else rotated_at),
    )
    # A time that is not finite would never be reached; a sum with such a time is not finite.
    if not math.isfinite(sum(times)):
        raise TypeError("a time")
    if type(session.confirmed) is not bool:
        raise TypeError("a flag")
    return session


class _Fields:
    """The fields of a dataclass, by name in sorted order."""

    def __init__(self, kind: type) -> None:
        self.names = tuple(sorted(field.name for field in fields(kind)))
        self._get = attrgetter(*self.names)

    def of(self, instance: object) -> dict[str, Any]:
        return dict(zip(self.names, self._get(instance), strict=True))


_SESSION, _GENERATION, _CLIENT = _Fields(Session), _Fields(Generation), _Fields(Device)
