"""People, from a YAML file: which groups each is in."""

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError


class UsersRefused(ValueError):
    """A users file that cannot be used; the message says where and why."""


class User(BaseModel):
    """One entry; `password` is an argon2id hash, never the password."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    password: Annotated[str, Field(pattern=r"^\$argon2id\$", repr=False)]
    groups: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9._:@/-]{1,64}$")], ...] = ()
    email: str = ""
    name: str = ""
    disabled: bool = False


_USERS = TypeAdapter(dict[str, User])


def load_users(path: Path) -> dict[str, User]:
    """Every user by name; nobody if there is no file.

    Raises:
        UsersRefused: it is no YAML, or an entry is not one; nothing of it is taken then.
    """
    if not path.exists():
        return {}
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _USERS.validate_python(data or {})
    except ValidationError as error:
        where = [".".join(map(str, problem["loc"])) for problem in error.errors()]
        raise UsersRefused(f"{path}: not as an entry should be: {', '.join(where)}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        # The parser's own words would repeat a line, which may hold a hash.
        raise UsersRefused(f"{path}: is not YAML that can be read") from None
