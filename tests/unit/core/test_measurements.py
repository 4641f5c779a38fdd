"""Values of metrics that parts report."""

from authgw.core.measurements import Measurement, counter, gauge, labelled_counter


def test_measurements_without_labels_have_one_value() -> None:
    assert counter("n", "Text", 2) == Measurement("counter", "n", "Text", (), {(): 2})
    assert gauge("n", "Text", 0.5) == Measurement("gauge", "n", "Text", (), {(): 0.5})


def test_a_labelled_counter_has_a_value_for_each_label() -> None:
    values: dict[tuple[str, ...], float] = {("200",): 3.0, ("503",): 1.0}
    measurement = labelled_counter("n", "Text", ("status",), values)
    assert measurement == Measurement("counter", "n", "Text", ("status",), values)
