"""Load a configuration that a test writes."""

from pathlib import Path

import pytest

from authgw.config.loader import ConfigError, LoadedConfig, load


def loaded(folder: Path, text: str, **environ: str) -> LoadedConfig:
    file = folder / "config.yml"
    file.write_text(text)
    return load(file, environ)


def problems(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, **environ)
    return caught.value.problems
