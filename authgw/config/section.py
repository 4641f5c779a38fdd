"""Base class of the sections: reports invalid and contradictory values of a section together."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

CONFLICT = "conflict"  # type of pydantic's error for contradictory values


class Conflict(NamedTuple):
    """A contradiction between values that are valid on their own.

    Attributes:
        key: The key at which it is reported, below its section; empty for the section itself.
        message: The problem and its remedy; `{path}` stands for the path of the section.
        compares: The keys whose values are compared: if any is invalid, nothing is reported.
        kind: The type of pydantic's error.
    """

    key: tuple[str, ...]
    message: str
    compares: Iterable[str] = ()
    kind: str = CONFLICT


class Section(BaseModel):
    """Base class of the sections: unknown keys are refused, and errors never contain values."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    def conflicts(self) -> Iterable[Conflict]:
        """Return the contradictions in this section.

        `model_fields_set` names the keys that were written. An invalid value among them has its
        default here, therefore a conflict names the values that it `compares`.
        """
        return ()

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        errors: list[ErrorDetails] = []
        invalid: set[str] = set()
        try:
            section = handler(data)
        except ValidationError as error:
            if not isinstance(data, dict):
                raise
            errors = error.errors(include_input=False, include_url=False)
            invalid = {str(problem["loc"][0]) for problem in errors}
            valid = handler({key: data[key] for key in data if str(key) not in invalid})
            section = cls.model_construct(_fields_set={*data}, **dict(iter(valid)))
        conflicts = filter(lambda found: invalid.isdisjoint(found.compares), section.conflicts())
        details = [_details(found.kind, found.message, found.key) for found in conflicts]
        details += [_details(found["type"], found["msg"], found["loc"]) for found in errors]
        if details:
            raise ValidationError.from_exception_data(cls.__name__, details, hide_input=True)
        return section


def _details(kind: str, message: str, key: tuple[str | int, ...]) -> InitErrorDetails:
    return InitErrorDetails(type=PydanticCustomError(kind, message), loc=key, input=None)
