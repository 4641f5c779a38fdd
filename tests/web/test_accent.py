"""The stylesheet: any accent colour has enough contrast, in light and dark mode."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.web.templating import PageRenderer, PageTheme
from authgw.web.theme import accent_of, contrast

PAGES = PageRenderer(PageTheme())
FREE_COLORS = st.tuples(*[st.integers(0, 255)] * 3).map(
    lambda rgb: "#{:02x}{:02x}{:02x}".format(*rgb)
)


def palette(dark: bool) -> dict[str, str]:
    light, _, rest = PAGES.stylesheet.partition("(prefers-color-scheme: dark)")
    colors = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", light))
    if dark:
        colors |= dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", rest))
    return colors


@pytest.mark.parametrize("dark", [False, True])
def test_the_palette_holds_aa(dark: bool) -> None:
    colors = palette(dark)
    assert contrast(colors["error"], colors["error-tint"]) >= 4.5
    for ground in (colors["ground"], colors["paper"]):
        assert contrast(colors["error"], ground) >= 3
        assert contrast(colors["field"], ground) >= 3
        assert contrast(colors["muted"], ground) >= 4.5
    for ground in (colors["ground"], colors["paper"], colors["tint"]):
        assert contrast(colors["text"], ground) >= 4.5


@given(FREE_COLORS)
def test_any_accent_can_be_read_and_seen(color: str) -> None:
    accent = accent_of(color)
    worst = min(contrast(color, "#000000"), contrast(color, "#ffffff"))
    assert contrast(color, accent.on_accent) >= max(4.5, worst)
    assert contrast(accent.accent_hover, accent.on_accent) >= 4.5
    for dark, edge in ((False, accent.edge_light), (True, accent.edge_dark)):
        colors = palette(dark)
        assert contrast(edge, colors["paper"]) >= 3
        assert contrast(edge, colors["ground"]) >= 3


@given(FREE_COLORS, FREE_COLORS)
def test_contrast_is_a_ratio_between_1_and_21(first: str, second: str) -> None:
    assert 1 <= contrast(first, second) <= 21
    assert contrast(first, second) == contrast(second, first)
    assert contrast(first, first) == 1


@pytest.mark.parametrize(
    ("first", "second", "ratio"),
    # Published values: WebAIM's contrast checker and the understanding documents of WCAG.
    [
        ("#000000", "#ffffff", 21.0),
        ("#767676", "#ffffff", 4.54),
        ("#595959", "#ffffff", 7.0),
        ("#777777", "#ffffff", 4.48),
        ("#ff0000", "#ffffff", 4.0),
        ("#0000ff", "#ffffff", 8.59),
    ],
)
def test_contrast_is_that_of_wcag(first: str, second: str, ratio: float) -> None:
    assert contrast(first, second) == pytest.approx(ratio, abs=0.005)


@pytest.mark.parametrize(
    "color", ["", "red", "#fff", "#12345", "#1234567", "123456", "#12345g", "#123456\n", "#000;}x{"]
)
def test_an_accent_that_is_no_colour_is_refused(color: str) -> None:
    with pytest.raises(ValueError, match="six hexadecimal digits"):
        PageRenderer(PageTheme("authgw", color))


def test_the_stylesheet_carries_the_accent_and_loads_nothing() -> None:
    stylesheet = PageRenderer(PageTheme("authgw", "#ffd400")).stylesheet
    assert stylesheet.startswith(":root{--accent:#ffd400;")
    assert "--on-accent:#000000;" in stylesheet
    assert "url(" not in stylesheet
    assert "@import" not in stylesheet
    assert stylesheet.count("{") == stylesheet.count("}")
    declared = set(re.findall(r"(--[a-z-]+)\s*:", stylesheet))
    assert set(re.findall(r"var\((--[a-z-]+)\)", stylesheet)) <= declared
    for feature in (
        "prefers-color-scheme: dark",
        "forced-colors: active",
        "prefers-reduced-motion",
    ):
        assert feature in stylesheet
