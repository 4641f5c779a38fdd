"""Icons of identity providers: the accepted files, and the problems that name their key."""

from pathlib import Path

import pytest

from authgw.config.loader import ConfigError
from authgw.config.provider_icons import load_icons
from authgw.core.limits import MAX_ICON_BYTES
from tests.support.config import loaded
from tests.support.provider_settings import one

PNG = b"\x89PNG\r\n\x1a\n rest"
SVG = b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg xmlns="http://www.w3.org/2000/svg"/>'


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [("a.png", PNG, "image/png"), ("a.svg", SVG, "image/svg+xml"), ("a.SVG", SVG, "image/svg+xml")],
)
def test_an_icon_is_read(tmp_path: Path, name: str, content: bytes, media_type: str) -> None:
    (tmp_path / name).write_bytes(content)
    icons = load_icons(loaded(tmp_path, one(icon=name)))
    assert (icons["company"].content, icons["company"].media_type) == (content, media_type)


def test_a_provider_without_an_icon_has_none(tmp_path: Path) -> None:
    assert load_icons(loaded(tmp_path, one())) == {}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", None, "a.png"),
        ("a.png", SVG, "is not the image that its name states"),
        ("a.svg", PNG, "is not the image that its name states"),
        ("a.svg", b"<html>" + b" " * 2000 + b"<svg>", "is not the image that its name states"),
        ("a.png", PNG + b"x" * MAX_ICON_BYTES, "has more than 64 KiB"),
    ],
)
def test_a_file_that_is_no_icon(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_icons(loaded(tmp_path, one(icon=name)))
    (problem,) = caught.value.problems
    assert problem.startswith("login.providers.company.icon: ")
    assert message in problem
