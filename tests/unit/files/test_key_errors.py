"""Messages for invalid values: the place of a key, and pydantic's errors in plain English."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError

from authgw.files.key_errors import key_text, value_error


class Values(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: Annotated[str, Field(min_length=1, max_length=3, pattern="^[a-z]*$")] = "a"
    number: Annotated[StrictInt, Field(ge=1, le=9)] = 1
    positive: Annotated[float, Field(gt=0)] = 1.0
    flag: StrictBool = False
    choice: Literal["a", "b"] = "a"
    items: Annotated[tuple[str, ...], Field(min_length=1)] = ("a",)
    required: str


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "is missing: add it"),
        ({"text": 1}, "is not text: write a single value, in quotes if YAML misreads it"),
        ({"text": ""}, "is empty: write its value, or remove the key"),
        ({"text": "abcd"}, "is too long: write at most 3 characters"),
        ({"text": "A"}, "has characters that are not valid here: correct it"),
        ({"number": 0}, "is too small: write at least 1"),
        ({"number": 10}, "is too large: write at most 9"),
        ({"number": "1"}, "is not a valid integer: write plain digits without quotes, such as"),
        ({"positive": 0.0}, "is too small: write more than 0"),
        ({"flag": "yes"}, "must be true or false: write it without quotes"),
        ({"choice": "c"}, "is not a valid value: write a or b"),
        ({"items": []}, "is an empty list: write at least one value, or remove the key"),
        ({"items": 1}, "must be a list: write [a, b], or a line with `- ` for each"),
    ],
)
def test_errors_of_pydantic_are_plain_english(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Values.model_validate(values if values == {} else {"required": "x", **values})
    (error,) = caught.value.errors()
    assert value_error(error["type"], error["msg"]).startswith(message)


def test_messages_of_this_project_stay() -> None:
    assert value_error("value_error", "Value error, is too odd: even it") == "is too odd: even it"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("server", "port"), "server.port"),
        (("rules", "0", "host"), "rules[0].host"),
        (("alice", "app_passwords", 1, "paths", 0), "alice.app_passwords[1].paths[0]"),
        (("7", "password"), "7.password"),
    ],
)
def test_keys_are_named_as_they_are_written(path: tuple[str | int, ...], text: str) -> None:
    assert key_text(path) == text
