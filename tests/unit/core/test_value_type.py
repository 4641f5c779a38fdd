"""Copies of values with other fields are those that `dataclasses.replace` makes."""

from dataclasses import field, replace

import pytest

from authgw.core.sessions import Generation
from authgw.core.value_type import replaced, value_type


@value_type(weakref_slot=True)
class Point:
    """A value with a default, of a type that can be referenced weakly."""

    x: int
    y: int = 2
    name: str = field(default="", repr=False)


@pytest.mark.parametrize("changes", [{}, {"x": 5}, {"name": "a", "y": 7}])
def test_a_copy_is_that_of_the_standard_library(changes: dict[str, object]) -> None:
    point = Point(1, name="p")
    assert replaced(point, **changes) == replace(point, **changes)  # type: ignore[arg-type]  # fields of several types
    assert point == Point(1, name="p")


def test_each_type_has_its_fields() -> None:
    generation = Generation("a", "r", 1.0, 2.0, 3.0)
    assert replaced(generation, iat=1.5) == Generation("a", "r", 1.5, 2.0, 3.0)
    assert replaced(Point(1), y=3) == Point(1, 3)


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(KeyError):
        replaced(Point(1), z=1)
