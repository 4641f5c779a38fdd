"""Environment variables: all names that set a key, and the names that are ignored."""

from authgw.config.environment import (
    KUBERNETES_VARIABLES,
    TOOL_VARIABLES,
    SettingVariable,
    known_variables,
)
from authgw.config.schema_paths import model_of
from tools.reference.markdown import code, joined, table


def variables() -> str:
    """Return a table of the variables for each section of the configuration."""
    sections: dict[str, list[tuple[str, SettingVariable]]] = {}
    for name, variable in known_variables().items():
        sections.setdefault(variable.path[0], []).append((name, variable))
    return joined(
        *(
            joined(
                f"### {code(section)}",
                table(("variable", "sets"), [(code(name), _meaning(each)) for name, each in known]),
            )
            for section, known in sections.items()
        )
    )


def _meaning(variable: SettingVariable) -> str:
    key = ".".join(variable.path)
    link = f"[{code(key)}](configuration.md#{key.replace('.', '')})"
    if variable.from_file:
        return f"{link}, from the file that the variable names"
    return f"the section {link}, as YAML" if model_of(variable.kind) else link


def ignored() -> str:
    """Return a table of the names that are known and ignored."""
    rows = [
        *(
            (code(name), "Kubernetes, for a Service called `authgw`")
            for name in KUBERNETES_VARIABLES
        ),
        *(
            (code(f"AUTHGW_*_{name}"), "Kubernetes, for a Service called `authgw-...`")
            for name in ("SERVICE_HOST", "SERVICE_PORT*", "PORT")
        ),
        *((code(name), "tools and examples of authgw") for name in TOOL_VARIABLES),
    ]
    return table(("variable", "set by"), rows)
