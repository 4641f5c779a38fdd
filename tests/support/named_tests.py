"""Tests that a document names."""

import ast

from tests.support.processes import ROOT


def exists(file: str, name: str) -> bool:
    path = ROOT / file
    found = ast.walk(ast.parse(path.read_text())) if path.exists() else ()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return any(isinstance(node, kinds) and node.name == name for node in found)
