"""The package as it is installed and run."""

import subprocess
import sys
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]


def test_it_runs_as_a_module() -> None:
    run = [sys.executable, "-m", "authgw"]
    version = subprocess.run([*run, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("python -m authgw, version ")
    wrong = subprocess.run([*run, "unheard-of"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2


def test_the_wheel_says_that_it_is_typed_and_brings_pages_and_recipes() -> None:
    shipped = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert "authgw/py.typed" in shipped
    for package in ("web", "recipes"):
        templates = ROOT / "authgw" / package / "templates"
        expected = {str(file.relative_to(ROOT)) for file in templates.rglob("*") if file.is_file()}
        assert expected
        assert expected <= shipped


def test_modules_are_in_packages_but_for_the_composition_root() -> None:
    modules = {path.name for path in (ROOT / "authgw").iterdir() if path.is_file()}
    assert modules == {"__init__.py", "__main__.py", "app.py", "py.typed"}
