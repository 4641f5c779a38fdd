"""Steps of a release, as .github/workflows/release.yml runs them: check, build, notes."""

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
_BIN = Path(sys.executable).parent


class ReleaseError(Exception):
    """A file of the repository does not fit the release."""


def version(root: Path) -> str:
    """Return the version of the package."""
    text = (root / "pyproject.toml").read_text()
    return str(tomllib.loads(text)["project"]["version"])


def notes(root: Path, wanted: str) -> str:
    """Return the section of a version in CHANGELOG.md, without its heading.

    Raises:
        ReleaseError: the section is missing or empty.
    """
    sections = re.split(r"^## ", (root / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    for section in sections[1:]:
        heading, _, text = section.partition("\n")
        if heading.split()[0] == wanted and text.strip():
            return text.strip() + "\n"
    raise ReleaseError(f"CHANGELOG.md: no section `## {wanted}` with a text")


def mismatches(root: Path, tag: str) -> Iterator[str]:
    """Yield a sentence for each file that names another version than the tag."""
    wanted = version(root)
    if tag != f"v{wanted}":
        yield f"pyproject.toml: version is {wanted}, the tag is {tag}"
    places = {
        "Dockerfile": r'image\.version="([^"]*)"',
        "examples/kubernetes/authgw.yaml": r"image: \S+/authgw:(\S+)",
    }
    for name, pattern in places.items():
        found = re.findall(pattern, (root / name).read_text())
        if found != [wanted]:
            yield f"{name}: names {', '.join(found) or 'no version'}, not {wanted}"
    try:
        notes(root, wanted)
    except ReleaseError as error:
        yield str(error)


def build(root: Path, target: Path) -> None:
    """Build and check the packages in `target/packages`, and their bill of materials beside it.

    Raises:
        CalledProcessError: a step failed.
    """
    packages = target / "packages"
    packages.mkdir(parents=True)
    _run(root, "hatchling", "build", "--directory", packages)
    _run(root, "twine", "check", "--strict", *packages.iterdir())
    bill = target / "authgw.cdx.json"
    options = ("--pyproject", "pyproject.toml", "--mc-type", "application", "--output-reproducible")
    _run(root, "cyclonedx-py", "requirements", "requirements.lock", *options, "-o", bill)


def _run(root: Path, program: str, *words: str | Path) -> None:
    subprocess.run([_BIN / program, *words], cwd=root, check=True)


def main(words: list[str] | None = None) -> None:
    """Run a step; end with status 1 and a sentence if it is refused."""
    parser = argparse.ArgumentParser(prog="tools/release.py", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    steps.add_parser("check", help="compare all versions with a tag").add_argument("tag")
    steps.add_parser("notes", help="print the notes of this version")
    steps.add_parser("build", help="build and check the packages").add_argument("target", type=Path)
    given = parser.parse_args(words)
    try:
        if given.step == "check":
            found = list(mismatches(ROOT, given.tag))
            if found:
                raise ReleaseError("\n".join(found))
        elif given.step == "notes":
            print(notes(ROOT, version(ROOT)), end="")
        else:
            build(ROOT, given.target.absolute())
    except ReleaseError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
