"""Samples, rounds and ratios, the tables that show them, and the bars."""

import pytest

from bench import bars
from bench.measure import Sample, in_turn, median, percentile, ratio, table
from bench.outcome import cell_text, markdown_of, rounded, text_of


def sample(cpu: float, rps: float = 1.0) -> Sample:
    return Sample({"gateway": cpu}, rps, 1.0, 2.0)


def test_variants_take_turns() -> None:
    order: list[str] = []

    def measured(name: str) -> Sample:
        order.append(name)
        return sample(1.0)

    seen = in_turn({"a": lambda: measured("a"), "b": lambda: measured("b")}, rounds=3)
    assert order == ["a", "b"] * 3
    assert {name: len(rounds) for name, rounds in seen.items()} == {"a": 3, "b": 3}


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    # A disturbance of both sides in the second round does not affect the ratio.
    above, below = (
        [sample(3.0), sample(30.0), sample(3.3)],
        [sample(1.0), sample(10.0), sample(1.0)],
    )
    assert ratio(above, below) == 3.0
    assert ratio(above, below, lambda one: one.rps) == 1.0


def test_medians_are_of_each_figure() -> None:
    middle = median([sample(1.0, 30.0), sample(3.0, 10.0), sample(2.0, 20.0)])
    assert (middle.cpu["gateway"], middle.rps) == (2.0, 20.0)


@pytest.mark.parametrize(
    ("percent", "value"), [(50, 50.0), (99, 99.0), (99.5, 100.0), (100, 100.0), (0.1, 1.0)]
)
def test_percentiles_are_measured_values(percent: float, value: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], percent) == value


def test_cpu_of_selected_parts() -> None:
    one = Sample({"nginx": 10.0, "gateway": 20.0, "redis": 5.0}, 1, 1, 1)
    assert (one.total, one.of("nginx", "gateway", "app")) == (35.0, 30.0)


def test_a_table_marks_missing_figures_as_not_available() -> None:
    shown = table("Chain", {"tcp": [sample(12.34)], "unix": None}, ("gateway",))
    assert text_of(shown).splitlines()[2:] == [
        "tcp           12.34       12.34    1       1       2",
        "unix  not available",
    ]
    assert markdown_of(shown).splitlines()[2] == "| tcp | 12.34 | 12.34 | 1 | 1 | 2 |"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "not available"),
        (True, "yes"),
        (False, "no"),
        (0.0456, "0.046"),
        (3.14159, "3.14"),
        (357.91, "357.9"),
        (76383.9, "76,384"),
        (2048, "2,048"),
        ("a", "a"),
    ],
)
def test_format_cells(cell: str | float | bool | None, text: str) -> None:
    assert cell_text(cell) == text


def test_json_keeps_four_digits() -> None:
    assert rounded({"a": [1.23456, None, True, 7], "b": (0.000123456,)}) == {
        "a": [1.235, None, True, 7],
        "b": [0.0001235],
    }


@pytest.mark.parametrize(
    ("figure", "most", "least", "holds"),
    [
        (3.6, 3.6, None, True),
        (3.7, 3.6, None, False),
        (0.38, None, 0.38, True),
        (0.37, None, 0.38, False),
        (True, None, None, True),
        (False, None, None, False),
        (None, 3.6, None, False),
        (None, None, None, False),
    ],
)
def test_a_bar_holds_only_with_a_measured_figure(
    figure: object, most: float | None, least: float | None, holds: bool
) -> None:
    assert bars.Bar("a", "b", "c", most, least).holds(figure) is holds


def test_every_bar_is_a_row() -> None:
    shown = bars.table({"flow": {"errors": 0}})
    assert len(shown.rows) == sum(not bar.optional for bar in bars.BARS)
    assert ("errors in flows of 1,000 users", "<= 0", 0, True) in shown.rows


def test_bars_beside_the_go_service_need_its_binary() -> None:
    absent, given = (bars.table({"random": {"x_go": figure}}).rows for figure in (None, 0.6))
    assert set(given) - set(absent) == {("check at random / Go service", "<= 0.55", 0.6, False)}
