"""Look-up in the settings models by the path of a key."""

from typing import Any, get_args, get_origin

from pydantic import BaseModel

from authgw.config.schema import Settings


def model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a type is, or of which it is a list, mapping or option; else None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(model_of, get_args(annotation))), None)


def accepts(annotation: Any, wanted: type) -> bool:
    """Return True if the annotation allows values of the type `wanted`."""
    if annotation is wanted or get_origin(annotation) is wanted:
        return True
    return any(accepts(inner, wanted) for inner in get_args(annotation))


def sibling_keys(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the valid keys of the section that contains the last key of `path`, as written."""
    model: type[BaseModel] | None = Settings
    is_item = False  # the next name is that of an item in a mapping
    for name in path[:-1]:
        if model is None:
            return ()
        if is_item:
            is_item = False
        elif not name.isdigit():
            info = model.model_fields.get(name)
            model = model_of(info.annotation) if info else None
            is_item = info is not None and accepts(info.annotation, dict)
    fields = model.model_fields.items() if model and not is_item else ()
    return tuple(info.alias or name for name, info in fields)
