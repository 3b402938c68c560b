"""House rules on the shape of the code: what a reader would otherwise have to ask for in every review."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "lakon"
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def sources() -> Iterator[tuple[Path, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE), path.read_text(encoding="utf-8")


def modules_of(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """The modules of the package that a file imports anywhere, in functions and for type checkers too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        if isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in known else node.module


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """Some modules of which each needs another one; empty when there is no circle."""
    left = dict(graph)
    while ready := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in ready:
            del left[name]
    return sorted(left)


def test_no_comprehension_stands_in_another_one():
    nested: list[str] = []
    for path, text in sources():
        for node in ast.walk(ast.parse(text)):
            inside = (other for other in ast.walk(node) if other is not node)
            if isinstance(node, COMPREHENSIONS) and any(isinstance(other, COMPREHENSIONS) for other in inside):
                nested.append(f"{path}:{node.lineno}")
    assert nested == []


def test_only_tables_are_laid_out_by_hand():
    by_hand: list[str] = []
    for path, text in sources():
        for number, line in enumerate(text.splitlines(), 1):
            if "fmt: skip" in line and not re.match(r"[\])}]+  # fmt: skip$", line):
                by_hand.append(f"{path}:{number}")
    assert by_hand == []


def test_no_modules_import_each_other_in_a_circle():
    trees: dict[str, ast.AST] = {}
    for path, text in sources():
        parts = [*path.parent.parts, *([] if path.name == "__init__.py" else [path.stem])]
        trees[".".join(["lakon", *parts])] = ast.parse(text)
    graph = {name: set(modules_of(tree, set(trees))) - {name} for name, tree in trees.items()}
    assert sum(map(len, graph.values())) > 500, "the imports were found"
    assert circle_in(graph) == []
    assert circle_in({"a": {"b"}, "b": {"a"}, "c": {"a"}, "d": set()}) == ["a", "b", "c"]


def test_a_stranger_can_read_the_list_of_rooms():
    entries = [path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= 20, sorted(entries)
    loose = sorted(name for name in entries if name.endswith(".py"))
    assert loose == ["__init__.py", "__main__.py"]


def test_nine_of_ten_files_fit_on_a_few_screens():
    lengths = sorted(len(text.splitlines()) for _, text in sources())
    assert lengths[int(len(lengths) * 0.9)] <= 300
