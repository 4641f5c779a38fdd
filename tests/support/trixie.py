"""An NGINX that speaks HTTP/3: Debian trixie's, unpacked for these tests and run by its own loader.

`python -m tests.support.trixie` fetches it once, by the system's own package source with the
suite's name replaced, into an apt directory of its own; nothing is installed.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_SUITE = "trixie"
_PACKAGES = ("nginx", "libc6", "libcrypt1", "libpcre2-8-0", "libssl3t64", "libzstd1", "zlib1g")
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "authgw-tests"
_UNPACKED = _CACHE / f"nginx-{_SUITE}"
_HINT = (
    "NGINX with HTTP/3 is missing: .venv/bin/python -m tests.support.trixie fetches it, on Debian "
    "with apt-get and a package source"
)


def command() -> list[str]:
    """The words that start it, fetched at the first use."""
    if not _UNPACKED.exists():
        try:
            fetch()
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            pytest.fail(f"{_HINT} ({said.strip().splitlines()[-1] if said.strip() else error})")
    libraries = [path.parent for path in _UNPACKED.rglob("lib*.so.*")]
    loader = next(_UNPACKED.rglob("ld-linux-*.so.*"), None)
    program = _UNPACKED / "usr/sbin/nginx"
    if loader is None or not program.exists():
        pytest.fail(f"{_HINT} ({_UNPACKED} is incomplete: remove it)")
    paths = ":".join(sorted({str(path) for path in libraries}))
    return [str(loader), "--library-path", paths, str(program)]


def fetch() -> None:
    """Download and unpack the packages.

    Raises:
        OSError, CalledProcessError: it was not possible.
    """
    _CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE) as name:
        folder = Path(name)
        # apt's own user writes here.
        folder.chmod(0o755)
        options = _apt(folder)
        _run(["apt-get", *options, "update"], folder)
        _run(["apt-get", *options, "download", *_PACKAGES], folder)
        unpacked = folder / "unpacked"
        for package in folder.glob("*.deb"):
            _run(["dpkg-deb", "-x", str(package), str(unpacked)], folder)
        unpacked.rename(_UNPACKED)


def _apt(folder: Path) -> list[str]:
    """Options for an apt that knows this suite alone and keeps its files below `folder`."""
    for name in ("state/lists/partial", "cache/archives/partial", "sources.list.d"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    here = _codename()
    found = [*Path("/etc/apt/sources.list.d").glob("*"), Path("/etc/apt/sources.list")]
    for source in found:
        if source.suffix in (".sources", ".list") and source.exists():
            text = source.read_text()
            if re.search(rf"\b{here}\b", text) and "debian" in text:
                (folder / "sources.list.d" / source.name).write_text(
                    re.sub(rf"\b{here}\b", _SUITE, text)
                )
    settings = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": str(folder / "sources.list.d"),
        "Dir::State": str(folder / "state"),
        "Dir::State::status": str(folder / "status"),
        "Dir::Cache": str(folder / "cache"),
        "APT::Sandbox::User": "",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _codename() -> str:
    text = Path("/etc/os-release").read_text()
    match = re.search(r"^VERSION_CODENAME=(\w+)$", text, re.MULTILINE)
    if match is None or shutil.which("apt-get") is None:
        raise OSError("this system has no Debian package source")
    return match[1]


def _run(words: list[str], folder: Path) -> None:
    subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True, timeout=300)


if __name__ == "__main__":
    if _UNPACKED.exists():
        shutil.rmtree(_UNPACKED)
    fetch()
    print(subprocess.run([*command(), "-v"], capture_output=True, text=True, check=True).stderr)
