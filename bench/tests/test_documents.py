"""Documents made from results: plan, page, sentences and plot of the README."""

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


def test_the_page_is_self_contained_and_escaped() -> None:
    outcome = Outcome({}, (Table("T <b>", ("", "us"), (("a&b", 2.0), ("c", None)), 1),), ("note",))
    measured = {"machine": "<m>", "date": "2026-01-01", "quick": True}
    html = page.render(measured, bars.table({}), {"one": outcome})
    assert "T &lt;b&gt;" in html
    assert "a&amp;b" in html
    assert html.count("<rect ") == 1
    assert not any(word in html for word in ("<script", "src=", "href=", "url(", "@import"))


def test_the_readme_has_the_measured_figures() -> None:
    cpu = {"raw httptools": {"server": 5.83}, "plain aiohttp": {"server": 21.62}}
    cpu |= {name: {"gateway": 16.77, "redis": 0.02} for name in ("hot", "direct with JSON")}
    figures = {
        "authenticate": {"cpu_us": cpu},
        "chain": {"tcp": 0.4089},
        "revoke": {"p99_ms": 4.976},
    }
    measured = {"machine": "a machine", "date": "today", "quick": True, "figures": figures}
    said = speed.words(measured)
    assert "takes 17 us" in said
    assert "keeps 41 %" in said
    assert "5 ms later" in said
    drawn = ElementTree.fromstring(speed.picture(measured))  # noqa: S314  ours
    assert drawn.tag.endswith("svg")
    del figures["chain"]
    with pytest.raises(NotMeasured, match="chain did not measure tcp"):
        speed.words(measured)
