"""What a module gives to its logger, be it by a name for one of the logger's methods."""

import ast
from pathlib import Path


def logger_calls(path: Path) -> list[ast.Call]:
    """The calls of a module that log."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    named = {
        ast.unparse(node.targets[0])
        for node in nodes
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("_log.")
    }
    calls = (node for node in nodes if isinstance(node, ast.Call))
    return [call for call in calls if (name := ast.unparse(call.func)).startswith("_log.") or name in named]
