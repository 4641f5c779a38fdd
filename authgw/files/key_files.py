"""Signing keys on disk: `<kid>.pem` in one folder, or one HS256 secret file.

The line `signs-from: <Unix seconds>` before a PEM block says when a key begins to sign; text
outside the block is allowed there (RFC 7468 section 2). The file `keys.kids` next to the folder
`keys` lists the kids of all keys that ever were in it: tokens of removed ones stay recognisable.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authgw.core.keys import Key, PrivateKey, SigningKeyError, key_from_pem, key_from_secret
from authgw.files.atomic import give

ORCHESTRATED = Path("/run/secrets")
NOTICE = 600.0  # seconds that the other replicas have to learn of a key before it signs
_SIGNS_FROM = re.compile(rb"^signs-from: (\d{1,12})$", re.MULTILINE)
_KID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LISTED = re.compile(r"[!-~]{1,255}")  # the kid of a secret holds the name of its file
_EVERYONE = 0o006


def read_secret(path: Path) -> bytes:
    """The bytes of a secret file.

    Raises:
        SigningKeyError: missing, empty, or readable by everyone on this machine, unless an
            orchestrator gave it so: under /run/secrets or by a read-only mount.
    """
    try:
        content = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise SigningKeyError(f"{path}: {error.strerror}") from None
    if mode & _EVERYONE and not _is_given(path):
        raise SigningKeyError(f"{path} is open to everyone on this machine: chmod 600 {path}")
    if not content.strip():
        raise SigningKeyError(f"{path} is empty: restore it, or remove it and make a new one")
    return content


def read_line(path: Path) -> str:
    """Return the text of a secret file that holds nothing else, edge spaces trimmed.

    Raises:
        SigningKeyError: as `read_secret`, or not one line of UTF-8 text.
    """
    try:
        text = read_secret(path).decode("utf-8").strip()
    except UnicodeDecodeError:
        raise SigningKeyError(f"{path} is not UTF-8 text") from None
    if not text.isprintable():
        raise SigningKeyError(f"{path} holds more than one line of text: keep the value alone")
    return text


def _is_given(path: Path) -> bool:
    # Nobody can change the mode of a file there, so to refuse it would leave no way out.
    return path.resolve().is_relative_to(ORCHESTRATED) or _is_read_only(path)


def _is_read_only(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def believed(paths: Iterable[Path]) -> Iterator[str]:
    """Yield a warning for each secret file that is open to everyone on a read-only mount."""
    for path in paths:
        if path.is_file() and path.stat().st_mode & _EVERYONE and _is_read_only(path):
            yield (
                f"{path} is open to everyone on this machine; it is used since its mount is "
                "read-only: let the mount give it mode 0400."
            )


def load_keys(folder: Path) -> tuple[Key, ...]:
    """Every key of the folder; none if it does not exist.

    Raises:
        SigningKeyError: one of them must not be used.
    """
    return tuple(_load(path) for path in sorted(folder.glob("*.pem")))


def load_shared_secret(path: Path) -> Key:
    """The HS256 key of a secret file, trailing newline trimmed.

    Raises:
        SigningKeyError: it must not be used, or is shorter than 32 bytes.
    """
    content = read_secret(path)
    # Two secrets must not share a kid, or replicas could not tell that theirs differ.
    mark = hashlib.sha256(content.rstrip(b"\r\n")).hexdigest()[:8]
    return key_from_secret(f"{path.name}-{mark}", content)


def make_key(folder: Path, algorithm: str, signs_from: float = 0.0) -> str:
    """Make a private key that only its owner may read, and return its kid.

    Raises:
        SigningKeyError: it cannot be written.
    """
    kid = secrets.token_hex(4)
    pem = _generate(algorithm).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(folder / f"{kid}.pem", f"signs-from: {signs_from:.0f}\n".encode() + pem)
    remember_kids(folder, [path.stem for path in folder.glob("*.pem")])
    return kid


def remembered_kids(source: Path) -> frozenset[str]:
    """The kids of all keys that ever were in this folder or secret file, removed ones included.

    Raises:
        SigningKeyError: the list is there and cannot be read.
    """
    path = _kids_file(source)
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise SigningKeyError(f"{path}: {error.strerror}") from None
    return frozenset(line for line in lines if _LISTED.fullmatch(line))


def remember_kids(source: Path, kids: Iterable[str]) -> None:
    """Add kids to the list of this folder or secret file, if it can be written.

    Raises:
        SigningKeyError: the list is there and cannot be read.
    """
    new = set(kids) - remembered_kids(source)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    # Where only the keys can be written, the issuer is what their tokens are recognised by.
    with suppress(OSError):
        if new:
            descriptor = os.open(_kids_file(source), flags, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                give(descriptor, like=source)
                file.write("".join(f"{kid}\n" for kid in sorted(new)).encode())


def make_shared_secret(path: Path) -> None:
    """Make an HS256 secret of 48 random bytes.

    Raises:
        SigningKeyError: it cannot be written, or is there already.
    """
    write_private(path, secrets.token_urlsafe(48).encode() + b"\n")


def write_private(path: Path, content: bytes) -> None:
    """Write a new file, never over another, that only the owner of its folder may read.

    Raises:
        SigningKeyError: it is there already, or cannot be written.
    """
    begun = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _make_folder(path.parent)
        try:
            _write_whole(begun, content)
            # A half-written one would stop every later start; a link replaces nothing.
            os.link(begun, path)
        finally:
            begun.unlink(missing_ok=True)
    except OSError as error:
        raise SigningKeyError(f"{path}: {error.strerror}") from None


def _kids_file(source: Path) -> Path:
    return source.with_name(f"{source.name}.kids")


def _write_whole(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        give(descriptor, like=path.parent)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _make_folder(folder: Path) -> None:
    if folder.exists():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        give(descriptor, like=folder.parent)
    finally:
        os.close(descriptor)


def _load(path: Path) -> Key:
    if not _KID.fullmatch(path.stem):
        raise SigningKeyError(
            f"{path}: a kid is 1 to 64 letters, digits, `_` or `-`: rename the file"
        )
    content = read_secret(path)
    said = _SIGNS_FROM.search(content)
    return key_from_pem(path.stem, content, float(said[1]) if said else 0.0)


def _generate(algorithm: str) -> PrivateKey:
    if algorithm == "RS256":
        return generate_rsa(public_exponent=65537, key_size=3072)
    if algorithm == "EdDSA":
        return Ed25519PrivateKey.generate()
    return generate_ec(SECP256R1())
