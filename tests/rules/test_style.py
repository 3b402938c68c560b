"""House rules on how the code is written, as far as a machine can check them."""

from __future__ import annotations

import ast
import graphlib
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "lakon"
FILES = sorted(PACKAGE.rglob("*.py"))
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
MOST_ENTRIES = 20
MOST_LINES = 300


def shown(path: Path, line: int) -> str:
    """Where a line stands, for the report of a failed test."""
    return f"{path.relative_to(PACKAGE.parent)}:{line}"


def has_another(comprehension: ast.AST) -> bool:
    """Whether a comprehension holds a second one, wherever: in what it gives, goes through or asks."""
    return any(node is not comprehension and isinstance(node, COMPREHENSIONS) for node in ast.walk(comprehension))


def module_name(path: Path) -> str:
    """`lakon.study.load`; for an `__init__.py` the name of its package."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def imported_names(node: ast.AST, module: str, is_package: bool) -> list[str]:
    """The full names that an import names, each of which may be a module or what stands in one."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        parts = module.split(".")
        kept = parts[: len(parts) - node.level + is_package]
        base = ".".join([*kept, node.module] if node.module else kept)
    return [f"{base}.{alias.name}" for alias in node.names]


def read_imports() -> dict[str, set[str]]:
    """For each module those of Lakon that it imports anywhere: in functions and for type checkers, too."""
    names = {module_name(path) for path in FILES}
    graph: dict[str, set[str]] = {}
    for path in FILES:
        module = module_name(path)
        graph[module] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in imported_names(node, module, path.name == "__init__.py"):
                found = name if name in names else name.rpartition(".")[0]
                if found in names and found != module:
                    graph[module].add(found)
    return graph


def test_no_comprehension_stands_inside_another():
    nested: list[str] = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, COMPREHENSIONS) and has_another(node):
                nested.append(shown(path, node.lineno))
    assert nested == []


def test_only_tables_of_a_module_are_laid_out_by_hand():
    """Such a table ends with a bracket that is not indented; `fmt: off` would do the same for more than a table."""
    elsewhere: list[str] = []
    for path in FILES:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if re.search(r"#\s*fmt:", line) and not re.fullmatch(r"[\])}]+  # fmt: skip", line):
                elsewhere.append(shown(path, number))
    assert elsewhere == []


def test_no_modules_import_one_another_in_a_circle():
    graph = read_imports()
    assert sum(map(len, graph.values())) > len(graph), "the imports were not read"
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        raise AssertionError(f"a circle: {' <- '.join(error.args[1])}") from None


def test_the_package_opens_with_few_entries():
    entries = sorted(path.name for path in PACKAGE.iterdir() if path.name != "__pycache__")
    assert len(entries) <= MOST_ENTRIES, entries
    loose = sorted(entry.name for entry in PACKAGE.glob("*.py"))
    assert loose == ["__init__.py", "__main__.py"]


def test_nine_files_in_ten_are_short():
    lengths = sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in FILES)
    assert lengths[int(len(lengths) * 0.9)] <= MOST_LINES
