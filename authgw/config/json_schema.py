"""JSON Schema of the configuration file, for editors that complete and check YAML."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from authgw.config.scalars import as_list, comma_separated
from authgw.config.schema import Settings
from authgw.config.values import DURATION_PATTERN, format_duration

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def config_schema() -> dict[str, Any]:
    """Return the schema of the file, which accepts every spelling that the gateway accepts."""
    schema = _with_bounds(Settings.model_json_schema(schema_generator=_Generator))
    about = {"title": "Configuration of authgw", "description": "Every key of config.yml."}
    return {"$schema": _DIALECT, **schema, **about}


# pydantic passes on the bounds of values that it reads from text by its own names.
_BOUNDS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum"}


def _with_bounds(schema: Any) -> Any:
    """Return the schema with all bounds by the names of JSON Schema."""
    if isinstance(schema, list):
        return [_with_bounds(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    fixed = {_BOUNDS.get(name, name): _with_bounds(value) for name, value in schema.items()}
    if "anyOf" in fixed and "minLength" in fixed:
        fixed["minItems"] = fixed["minLength"]
    return fixed


class _Generator(GenerateJsonSchema):
    """Generator of the types that values have in a YAML file, which their keys decide."""

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        """Return the schema of text: a number without quotes is text, too."""
        return {**super().str_schema(schema), "type": ["string", "number", "boolean"]}

    def bool_schema(self, schema: core_schema.BoolSchema) -> JsonSchemaValue:
        """Return the schema of a boolean; YAML 1.2 reads the other words as text."""
        return {"enum": [True, False, "yes", "no", "on", "off"]}

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        """Return the schema of a duration: all numbers with a fraction are durations."""
        text = {"type": "string", "pattern": f"^(0|{DURATION_PATTERN})$"}
        return {"anyOf": [text, {"const": 0}], "examples": ["90s", "15m", "720h"]}

    def function_before_schema(
        self, schema: core_schema.BeforeValidatorFunctionSchema
    ) -> JsonSchemaValue:
        """Return the schema of a value; where a text becomes a list, also that of the text."""
        inner = self.generate_inner(schema["schema"])
        function = schema["function"]["function"]
        if function is comma_separated:
            return {"anyOf": [inner, {"type": "string"}]}
        if function is as_list:
            return {"anyOf": [inner, inner["items"]]}
        return inner

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False: a title would only repeat the key."""
        return False

    def encode_default(self, dft: Any) -> Any:
        """Return a default as it is written; a section is empty by default."""
        if isinstance(dft, BaseModel):
            return {}
        return format_duration(dft) if isinstance(dft, float) else super().encode_default(dft)
