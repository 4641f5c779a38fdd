"""Signing keys on disk: `<kid>.pem` in a directory, or an HS256 secret file.

The line `signs-from: <Unix seconds>` before a PEM block is the time at which a key begins to sign;
text outside the block is allowed there (RFC 7468 section 2). The file `keys.kids` next to the
directory `keys` lists the kids of all keys that were ever in it, so that tokens signed with removed
keys are still recognised.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authgw.core.keys import Key, PrivateKey, SigningKeyError, key_from_pem, key_from_secret
from authgw.files.atomic import copy_owner
from authgw.files.file_errors import file_error

ORCHESTRATOR_SECRETS = Path("/run/secrets")
SIGNING_DELAY = 600.0  # seconds in which the other replicas load a new key before it signs
_SIGNS_FROM = re.compile(rb"^signs-from: (\d{1,12})$", re.MULTILINE)
_KID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RECORDED_KID = re.compile(r"[!-~]{1,255}")  # the kid of a secret contains its file name
_OPEN_TO_EVERYONE = 0o006


def read_secret(path: Path) -> bytes:
    """Return the bytes of a secret file.

    Raises:
        SigningKeyError: The file is missing, empty, or accessible to everyone on this machine,
            unless an orchestrator provided it: under /run/secrets or on a read-only mount.
    """
    try:
        content = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise SigningKeyError(file_error(path, error)) from None
    if mode & _OPEN_TO_EVERYONE and not _is_provided(path):
        raise SigningKeyError(
            f"{path} is accessible to every account of this machine: chmod 600 {path}"
        )
    if not content.strip():
        raise SigningKeyError(
            f"{path} is empty: restore its content, or remove it and make a new one"
        )
    return content


def read_line(path: Path) -> str:
    """Return the single line of text in a secret file, without surrounding white space.

    Raises:
        SigningKeyError: As for `read_secret`, or the content is not a single line of UTF-8 text.
    """
    try:
        text = read_secret(path).decode("utf-8").strip()
    except UnicodeDecodeError:
        raise SigningKeyError(f"{path} is not UTF-8 text: write the value as UTF-8") from None
    if not text.isprintable():
        raise SigningKeyError(
            f"{path} contains more than a line of text: keep the line with the value only"
        )
    return text


@contextmanager
def naming_key(key: str) -> Iterator[None]:
    """Begin messages about secret files with the configuration key or the path of the file."""
    try:
        yield
    except SigningKeyError as error:
        raise SigningKeyError(f"{key}: {error}") from None


def _is_provided(path: Path) -> bool:
    # The mode of such a file cannot be changed, so a refusal would have no remedy.
    return path.resolve().is_relative_to(ORCHESTRATOR_SECRETS) or _is_read_only(path)


def _is_read_only(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def secret_file_warnings(paths: Iterable[Path]) -> Iterator[str]:
    """Yield a warning for each secret file that a read-only mount makes accessible to everyone."""
    for path in paths:
        if path.is_file() and path.stat().st_mode & _OPEN_TO_EVERYONE and _is_read_only(path):
            yield (
                f"{path} is accessible to every account of this machine, and used because its "
                "mount is read-only: mount it with mode 0400."
            )


def load_keys(directory: Path) -> tuple[Key, ...]:
    """Return every key of the directory; an empty tuple if the directory does not exist.

    Raises:
        SigningKeyError: A key must not be used.
    """
    return tuple(_load(path) for path in sorted(directory.glob("*.pem")))


def load_shared_secret(path: Path) -> Key:
    """Return the HS256 key of a secret file, without its trailing newline.

    Raises:
        SigningKeyError: The secret must not be used, or is shorter than 32 bytes.
    """
    content = read_secret(path)
    # Different secrets need different kids, or replicas could not detect that their secrets differ.
    fingerprint = hashlib.sha256(content.rstrip(b"\r\n")).hexdigest()[:8]
    with naming_key(str(path)):
        return key_from_secret(f"{path.name}-{fingerprint}", content)


def make_key(directory: Path, algorithm: str, signs_from: float = 0.0) -> str:
    """Create a private key file that only its owner may read, and return its kid.

    Args:
        directory: The directory of the key files.
        algorithm: ES256, RS256 or EdDSA.
        signs_from: The time at which the key begins to sign, in Unix seconds.

    Raises:
        SigningKeyError: The file cannot be written.
    """
    kid = secrets.token_hex(4)
    pem = _generate(algorithm).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(directory / f"{kid}.pem", f"signs-from: {signs_from:.0f}\n".encode() + pem)
    record_kids(directory, [path.stem for path in directory.glob("*.pem")])
    return kid


def recorded_kids(source: Path) -> frozenset[str]:
    """Return the recorded kids of a key directory or secret file, including removed keys.

    Raises:
        SigningKeyError: The list exists and cannot be read.
    """
    path = _kids_file(source)
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise SigningKeyError(file_error(path, error)) from None
    return frozenset(line for line in lines if _RECORDED_KID.fullmatch(line))


def record_kids(source: Path, kids: Iterable[str]) -> None:
    """Add kids to the list of a key directory or secret file, if the list can be written.

    Raises:
        SigningKeyError: The list exists and cannot be read.
    """
    new = set(kids) - recorded_kids(source)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    # If the list cannot be written, tokens of removed keys are recognised by their issuer only.
    with suppress(OSError):
        if new:
            descriptor = os.open(_kids_file(source), flags, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                copy_owner(descriptor, like=source)
                file.write("".join(f"{kid}\n" for kid in sorted(new)).encode())


def make_shared_secret(path: Path) -> None:
    """Create an HS256 secret of 48 random bytes.

    Raises:
        SigningKeyError: The file exists already, or cannot be written.
    """
    write_private(path, secrets.token_urlsafe(48).encode() + b"\n")


def write_private(path: Path, content: bytes) -> None:
    """Create a file that only the owner of its directory may read; never overwrite a file.

    Raises:
        SigningKeyError: The file exists already, or cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _make_directory(path.parent)
        try:
            _write_whole(temporary, content)
            # A half-written file would make every later start fail; `link` overwrites nothing.
            os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise SigningKeyError(file_error(path, error)) from None


def _kids_file(source: Path) -> Path:
    return source.with_name(f"{source.name}.kids")


def _write_whole(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        copy_owner(descriptor, like=path.parent)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _make_directory(directory: Path) -> None:
    if directory.exists():
        return
    _make_directory(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        copy_owner(descriptor, like=directory.parent)
    finally:
        os.close(descriptor)


def _load(path: Path) -> Key:
    if not _KID.fullmatch(path.stem):
        raise SigningKeyError(
            f"{path} has a name that is not a valid kid: rename it to 1 to 64 letters, digits, `_` "
            "or `-`, and .pem"
        )
    content = read_secret(path)
    match = _SIGNS_FROM.search(content)
    with naming_key(str(path)):
        return key_from_pem(path.stem, content, float(match[1]) if match else 0.0)


def _generate(algorithm: str) -> PrivateKey:
    if algorithm == "RS256":
        return generate_rsa(public_exponent=65537, key_size=3072)
    if algorithm == "EdDSA":
        return Ed25519PrivateKey.generate()
    return generate_ec(SECP256R1())
