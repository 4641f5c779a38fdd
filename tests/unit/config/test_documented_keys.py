"""Keys in the shipped `config.yml` and the documentation, compared with the schema."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from pydantic import BaseModel

from authgw.config.loader import load
from authgw.config.schema import Settings
from authgw.config.schema_paths import model_of

ROOT = Path(__file__).parents[3]
DOCUMENTS = [ROOT / "README.md", ROOT / "config.yml", *sorted((ROOT / "docs").rglob("*.md"))]


def keys(model: type[BaseModel], parent: str = "") -> Iterator[str]:
    """Yield every key that holds a value, such as `server.port`."""
    for name, info in model.model_fields.items():
        section = model_of(info.annotation)
        if section:
            yield from keys(section, f"{parent}{name}.")
        else:
            yield f"{parent}{info.alias or name}"


def test_every_key_is_documented() -> None:
    words = {
        word for file in DOCUMENTS for word in re.findall(r"\w+", file.read_text(encoding="utf-8"))
    }
    missing = [key for key in keys(Settings) if key.rpartition(".")[2] not in words]
    assert missing == []


def test_the_shipped_file_has_the_defaults() -> None:
    defaults = Settings()
    shipped = load(ROOT / "config.yml", {}).settings
    for name, values in yaml.safe_load((ROOT / "config.yml").read_text()).items():
        for key in values:
            if (name, key) != ("cache", "url"):
                assert getattr(getattr(shipped, name), key) == getattr(getattr(defaults, name), key)
    assert shipped.cache.address == defaults.cache.address
