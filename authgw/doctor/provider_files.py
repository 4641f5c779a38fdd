"""Files that identity providers need: secrets, keys, certificates and icons."""

import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from authgw.config.loader import LoadedConfig
from authgw.config.provider_icons import load_icons
from authgw.core.errors import OperatorError
from authgw.doctor.findings import error_messages
from authgw.files.file_errors import file_error


class CertificatesError(OperatorError):
    """Raised for a `ca_file` without usable certificates."""


def errors(loaded: LoadedConfig) -> Iterator[str]:
    """Yield a message for each file that cannot be used; each begins with its key."""
    for name, settings in loaded.settings.login.providers.items():
        yield from error_messages(partial(settings.provider, name, loaded.directory))
        if settings.ca_file:
            path, key = loaded.path(settings.ca_file), f"login.providers.{name}.ca_file"
            yield from error_messages(partial(_check_certificates, path, key))
    yield from error_messages(partial(load_icons, loaded))


def _check_certificates(path: Path, key: str) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise CertificatesError(
            f"{key}: {path} has no readable certificates: write them in PEM form"
        ) from None
    except OSError as error:
        raise CertificatesError(f"{key}: {file_error(path, error)}") from None
