"""Icons of identity providers: read once, and checked for the type that their name states."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from authgw.config.loader import ConfigError, LoadedConfig
from authgw.config.providers import ICON_TYPES
from authgw.core.limits import MAX_ICON_BYTES
from authgw.files.file_errors import file_error

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SVG_BEGINS_WITHIN = 1024  # bytes; an XML declaration and a comment come first


@dataclass(frozen=True, slots=True)
class ProviderIcon:
    """An image and its media type."""

    content: bytes = field(repr=False)
    media_type: str


def load_icons(loaded: LoadedConfig) -> Mapping[str, ProviderIcon]:
    """Return the icons of this configuration by the name of their provider.

    Raises:
        ConfigError: a file is missing, too large, or no image of its type; each problem names the
            key.
    """
    icons, problems = {}, []
    for name, settings in loaded.settings.login.providers.items():
        if settings.icon:
            try:
                icons[name] = _read(loaded.path(settings.icon))
            except ValueError as error:
                problems.append(f"login.providers.{name}.icon: {error}")
    if problems:
        raise ConfigError(problems)
    return icons


def _read(path: Path) -> ProviderIcon:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(file_error(path, error)) from None
    if len(content) > MAX_ICON_BYTES:
        raise ValueError(f"{path} has more than {MAX_ICON_BYTES // 1024} KiB: use a smaller image")
    media_type = ICON_TYPES[path.suffix.lower()]
    is_png = content.startswith(_PNG_SIGNATURE)
    is_svg = b"<svg" in content[:_SVG_BEGINS_WITHIN]
    if not (is_svg if media_type == "image/svg+xml" else is_png):
        raise ValueError(f"{path} is not the image that its name states: use an SVG or PNG file")
    return ProviderIcon(content, media_type)
