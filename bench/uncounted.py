"""The gateway without the counters of its hot path, as the baseline for the cost of metrics.

`python -m bench.uncounted serve` runs the same code without the statements that count.
"""

import ast
import sys
from importlib.util import find_spec, module_from_spec

from bench.outcome import NotMeasured

COUNTED = {
    "authgw.storage.mirror": {"hits", "misses"},
    "authgw.server.front_door": {"cached_responses"},
}


class _Without(ast.NodeTransformer):
    """Removes every `something.NAME += ...` of these names, and records which it has removed."""

    def __init__(self, names: set[str]) -> None:
        self._names = names
        self.removed: set[str] = set()

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        """Replace a statement that counts by `pass`."""
        if not isinstance(node.target, ast.Attribute) or node.target.attr not in self._names:
            return node
        self.removed.add(node.target.attr)
        return ast.copy_location(ast.Pass(), node)


def without(source: str, names: set[str]) -> ast.Module:
    """Return a module's syntax tree without the statements that count under these names.

    Raises:
        NotMeasured: the module lacks statements that count under a name.
    """
    transformer = _Without(names)
    tree: ast.Module = transformer.visit(ast.parse(source))
    if transformer.removed != names:
        lost = ", ".join(sorted(names - transformer.removed))
        raise NotMeasured(f"the hot path no longer counts {lost}: correct bench/uncounted.py")
    return tree


def _load(name: str, names: set[str]) -> None:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise NotMeasured(f"there is no {name}: correct bench/uncounted.py")
    with open(spec.origin, encoding="utf-8") as file:
        tree = without(file.read(), names)
    module = sys.modules[name] = module_from_spec(spec)
    exec(compile(tree, spec.origin, "exec"), module.__dict__)  # noqa: S102  our own code


if __name__ == "__main__":
    for counted, names in COUNTED.items():
        _load(counted, names)
    from authgw.cli import main

    main()
