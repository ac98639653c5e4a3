"""Imports of the project's modules: lazy and quoted ones too, and the circles they make."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
OWN = ("models", "pipelines", "gates")
SOURCES = sorted([*ROOT.glob("models/**/*.py"), *ROOT.glob("pipelines/**/*.py"), *ROOT.glob("notebooks/gates/*.py")])
ROOMS: dict[str, tuple[str, ...]] = {
    "models": (),
    "pipelines.log": (),
    "pipelines.config": (),
    "pipelines.metrics": (),
    "pipelines.data": ("pipelines.log", "pipelines.config", "models"),
    "pipelines.search": ("models", "pipelines.config", "pipelines.data"),
    "pipelines.explain": ("models", "pipelines.metrics"),
    "pipelines.task": ("models", "pipelines.config", "pipelines.data", "pipelines.explain", "pipelines.metrics"),
    "pipelines.recipes": ("pipelines.task", "pipelines.search", "pipelines.log"),
    "pipelines.tasks.": ("pipelines.recipes",),
    "pipelines.tasks": ("pipelines.task",),
    "pipelines.runs": ("pipelines.tasks",),
    "pipelines.training": ("pipelines.runs", "pipelines.search", "pipelines.explain"),
    "pipelines.predictor": ("pipelines.training",),
    "pipelines.export": ("pipelines.predictor",),
    "pipelines.serve": ("pipelines.export",),
    "pipelines.web": ("pipelines.export", "pipelines.serve"),
    "pipelines.cli": ("pipelines.web", "pipelines.serve"),
    "pipelines.__main__": ("pipelines.cli", "pipelines"),
    "pipelines": ("pipelines.predictor", "pipelines.training"),
    "gates": ("pipelines.tasks.", "pipelines.training", "pipelines"),
}
"""Each room and those that it may import, with all below them. ``pipelines.tasks.`` are the tasks themselves, which
nobody imports but the registry ``pipelines.tasks``, by name; ``pipelines`` offers the public names."""


def module_name(path: Path) -> str:
    """Return the dotted name of a source file."""
    parts = path.relative_to(ROOT / "notebooks" if "notebooks" in path.parts else ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in SOURCES}


def room(module: str) -> str:
    """Return the room of a module: the longest name in ``ROOMS`` that it lies in; of ``pipelines`` the root alone."""
    if module.startswith("pipelines.tasks."):
        return "pipelines.tasks."
    found = [name for name in ROOMS if module == name or (name != "pipelines" and module.startswith(name + "."))]
    return max(found, key=len, default="")


def below(name: str) -> set[str]:
    """Return the rooms that a room may import: those named, and all below them."""
    return set(ROOMS[name]).union(*(below(other) for other in ROOMS[name]))


def named(text: str) -> Iterator[str]:
    """Find the project's modules that a string names, such as an argument of ``import_module``."""
    for word in re.findall(r"\b(?:models|pipelines|gates)(?:\.\w+)+", text):
        parts = word.split(".")
        yield from (
            ".".join(parts[:end]) for end in range(len(parts), 0, -1) if end > 1 and ".".join(parts[:end]) in MODULES
        )


def imports(path: Path, text: str = "") -> set[str]:
    """Return the modules of the project that a file imports, also within functions and under TYPE_CHECKING.

    A module that a string names (which is no docstring) counts as imported.

    Args:
        path: the file.
        text: its content, where that is not on disk.
    """
    tree = ast.parse(text or path.read_text("utf-8"))
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            whole = {part for part in parts if part in MODULES}
            found |= whole | ({node.module} if len(whole) < len(parts) else set())
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts:
            first = next(named(node.value), "")
            found |= {first} if first and re.fullmatch(r"[\w.]+", node.value) else set()
    return {name for name in found if name.partition(".")[0] in OWN and name in MODULES} - {module_name(path)}


def circles(modules: dict[str, set[str]]) -> list[list[str]]:
    """Return groups of modules that import each other in a circle: strongly connected parts (Tarjan 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in modules[name]:
            if other not in order:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == order[name]:
            part = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            found.extend([sorted(part)] if len(part) > 1 else [])

    for name in modules:
        if name not in order:
            visit(name)
    return found
