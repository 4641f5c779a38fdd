"""Walking over the models of the settings by the path of a key."""

from typing import Any, get_args, get_origin

from pydantic import BaseModel

from authgw.config.schema import Settings


def model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the model that this type is, or is a list or an option of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(model_of, get_args(annotation))), None)


def holds(annotation: Any, wanted: type) -> bool:
    """Return True if a value of this type can be of the wanted type."""
    if annotation is wanted or get_origin(annotation) is wanted:
        return True
    return any(holds(inner, wanted) for inner in get_args(annotation))


def keys_beside(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the known keys of the section that the last key of this path is in, as written."""
    model: type[BaseModel] | None = Settings
    for name in path[:-1]:
        if model is None:
            return ()
        if not name.isdigit():
            info = model.model_fields.get(name)
            model = model_of(info.annotation) if info else None
    fields = model.model_fields.items() if model else ()
    return tuple(info.alias or name for name, info in fields)
