"""Values that many tests start from."""

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authgw.core.keys import Key, KeyRing, key_from_pem
from authgw.core.sessions import (
    Device,
    Generation,
    Lifetimes,
    Session,
    generation,
    new_sid,
)
from authgw.core.tokens import Issuer

LIVES = Lifetimes(access=900.0, refresh=7200.0, session_max=20000.0, refresh_grace=10.0)
NOW = 1_800_000_000.0


def a_key(kid: str = "a1", signs_from: float = 0.0) -> Key:
    pem = generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return key_from_pem(kid, pem, signs_from)


KEY = a_key()


def an_issuer(*keys: Key) -> Issuer:
    return Issuer("authgw", "authgw", KeyRing(keys or (KEY,), max_lifetime=LIVES.refresh))


def a_session(
    sub: str = "1", user_id: int | None = 1, now: float = NOW, number: int = 0
) -> Session:
    expires_at = now + LIVES.refresh
    return Session(
        sid=new_sid(sub, bytes([*bytes(15), number])),
        sub=sub,
        user_id=user_id,
        groups=("users",),
        email="",
        name="",
        source="client:shop",
        created_at=now,
        expires_at=expires_at,
        gen=0,
        current=generation("a0", "r0", now=now, expires_at=expires_at, access=LIVES.access),
        previous_refresh_jti=None,
        rotated_at=None,
        confirmed=False,
        client=Device(),
    )


def numbered(number: int, sub: str = "1") -> Session:
    """Return a session whose sid follows from its number."""
    return replace(a_session(sub), sid=new_sid(sub, number.to_bytes(16)))


# All its values are unusual, so that its compact record has all items.
ROTATED_SESSION = replace(
    numbered(1, "alice"),
    user_id=None,
    groups=("staff",),
    email="alice@example.com",
    name="Alice",
    gen=1,
    current=Generation("a1", "r1", NOW + 60.25, NOW + 960.25, NOW + 7000),
    previous_refresh_jti="r0",
    rotated_at=NOW + 60.25,
    client=Device("Firefox", "192.0.2.1"),
    amr=("pwd",),
    password_mark="m1",
)
