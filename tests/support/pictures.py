"""Pictures of pages, in the sizes and colour schemes of browsers."""

import os
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page

AXE = Path(__file__).parents[1] / "browser/node_modules/axe-core/axe.min.js"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}


def save(page: Page, name: str) -> None:
    folder = os.environ.get("AUTHGW_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / name)
