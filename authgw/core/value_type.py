"""Values that are made several times in a request, and never changed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value_type(*, weakref_slot: bool = False) -> Callable[[type[T]], type[T]]:
    """Make a class a dataclass with slots whose fields are constant for the type checker.

    The interpreter does not refuse an assignment: with `frozen=True` an instance takes up to ten
    times as long to make.
    """
    return dataclass(unsafe_hash=True, slots=True, weakref_slot=weakref_slot)
