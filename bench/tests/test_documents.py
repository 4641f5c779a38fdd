"""Documents made from results: plan, page, sentences and plot of the README."""

from typing import Any
from xml.etree import ElementTree

import pytest

from bench import bars, docs, page, speed
from bench.outcome import NotMeasured, Outcome, Table


def test_only_the_text_between_the_markers_is_replaced() -> None:
    text = "a\n<!-- plan -->\nold\n<!-- end of plan -->\nb\n"
    assert docs.between(text, "plan", "new") == "a\n<!-- plan -->\nnew\n<!-- end of plan -->\nb\n"
    with pytest.raises(NotMeasured, match="lacks the markers"):
        docs.between("a", "plan", "new")


def test_the_documents_have_their_markers() -> None:
    docs.between(docs.README.read_text(), "results", "")
    docs.between(docs.SCALING.read_text(), "plan", "")
    docs.between(docs.SCALING.read_text(), "speed", "")
    docs.between(docs.FRONT.read_text(), "speed", "")


def test_the_page_is_self_contained_and_escaped() -> None:
    outcome = Outcome({}, (Table("T <b>", ("", "us"), (("a&b", 2.0), ("c", None)), 1),), ("note",))
    measured = {"machine": "<m>", "date": "2026-01-01", "quick": True}
    html = page.render(measured, bars.table({}), {"one": outcome})
    assert "T &lt;b&gt;" in html
    assert "a&amp;b" in html
    assert html.count("<rect ") == 1
    assert not any(word in html for word in ("<script", "src=", "href=", "url(", "@import"))


def test_the_readme_has_the_measured_figures() -> None:
    measured = {"machine": "a machine", "date": "today", "quick": True, "figures": FIGURES}
    said = speed.words(measured)
    for words in (
        "check takes 17 us",
        "at random 44 us",
        "browse 80 us",
        "login takes 150 us, a refresh 130 us",
        "credential 26 us",
        "keeps 41 %",
        "5 ms later",
        "takes 61 MB of memory at the start, and 82 MB",
    ):
        assert words in said
    front = speed.sentence(measured)
    assert "check takes 17 us" in front
    assert "keeps 41 %" in front
    drawn = ElementTree.fromstring(speed.picture(measured))  # noqa: S314  ours
    assert drawn.tag.endswith("svg")


@pytest.mark.parametrize("benchmark", ["browse", "chain", "denials", "idle"])
def test_a_missing_figure_is_named(benchmark: str) -> None:
    figures = {name: found for name, found in FIGURES.items() if name != benchmark}
    measured = {"machine": "a machine", "date": "today", "quick": True, "figures": figures}
    with pytest.raises(NotMeasured, match=f"{benchmark} did not measure"):
        speed.words(measured)


FIGURES: dict[str, dict[str, Any]] = {
    "authenticate": {
        "cpu_us": {
            "raw httptools": {"server": 5.83},
            "plain aiohttp": {"server": 21.62},
            "hot": {"gateway": 16.77, "redis": 0.02},
            "direct with JSON": {"gateway": 15.0, "redis": 0.02},
            "warm": {"gateway": 90.0, "redis": 5.0},
            "cold": {"gateway": 120.0, "redis": 5.0},
        }
    },
    "random": {"cpu_us": {"random": {"gateway": 40.0, "redis": 4.0}}},
    "browse": {"cpu_us": 80.4},
    "denials": {"cpu_us": {"none": {"gateway": 26.0}, "forged": {"gateway": 80.0}}},
    "issue": {
        "cpu_us": {
            "login": {"gateway": 120.0, "redis": 30.0},
            "refresh": {"gateway": 105.0, "redis": 25.0},
            "logout": {"gateway": 100.0, "redis": 25.0},
        }
    },
    "chain": {"tcp": 0.4089},
    "revoke": {"p99_ms": 4.976},
    "idle": {"idle_mb": 61.2, "loaded_mb": 82.1},
}
