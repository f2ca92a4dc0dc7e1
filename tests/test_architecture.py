"""The shape of the house: what `ast` can see of the rules in ARCHITECTURE.md. Imports are checked by import-linter."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "recond").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
DRAWERS = {"utils", "util", "helpers", "common", "base", "manager", "service", "handler", "misc", "shared", "lib"}
MUTABLE_CALLS = {"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict"}
# Tests of several modules at once, of what is not Python, or of the whole.
TESTS_OF_NO_MODULE = {"simulator/test_same_events.py", "test_architecture.py", "test_monitoring.py", "test_readme.py"}
TEST_FOLDERS_OF_NO_MODULE = {"contract", "end_to_end", "simulation"}
# Modules without a test file of their own: values and contracts, which every other test uses.
MODULES_WITHOUT_TEST = {
    "__main__.py",
    "ports.py",
    "config/values.py",
    "core/exact.py",
    "core/history.py",
    "core/model.py",
    "core/rules.py",
    "core/run.py",
}
# Packages that are tested through their public modules, over real sockets and files.
TESTED_AT_THE_DOOR = {"alpaca", "daemon", "demo", "simulator", "sqlite", "web"}


def relative(path: Path) -> str:
    """The path as the sets above name it, and as pytest shows it."""
    return path.relative_to(ROOT / path.relative_to(ROOT).parts[0]).as_posix()


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions in a tree, nested ones included."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function from its `def`, without its docstring."""
    first = node.body[0]
    documented = ast.get_docstring(node) is not None
    docstring = first.end_lineno - first.lineno + 1 if documented and first.end_lineno else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - docstring


def module_names(tree: ast.Module) -> Iterator[tuple[str, ast.expr | None]]:
    """Every name that is bound by assignment at module level, with what it is bound to."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                yield from ((name.id, node.value) for name in names if isinstance(name, ast.Name))
        elif isinstance(node, ast.AnnAssign | ast.AugAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node.value


def is_mutable(value: ast.expr | None) -> bool:
    """Whether an expression makes something that can be changed later."""
    if isinstance(value, ast.Call):
        function = value.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        return name in MUTABLE_CALLS
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_says_what_it_owns(path: Path) -> None:
    """Its docstring is short and says what the module owns and what it may not do."""
    docstring = ast.get_docstring(parsed(path)) or ""
    assert docstring
    if path.name not in {"__init__.py", "__main__.py"}:
        assert "Owns " in docstring
        assert "May not " in docstring


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_and_its_functions_are_short(path: Path) -> None:
    """At most 400 lines a module and 70 a function, docstrings of functions not counted."""
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 400
    assert [node.name for node in functions(parsed(path)) if code_lines(node) > 70] == []


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_keeps_no_state(path: Path) -> None:
    """No name at module level is mutable, bound twice or declared global."""
    tree = parsed(path)
    names = list(module_names(tree))
    bound = [name for name, _ in names]
    assert [name for name, value in names if is_mutable(value) and name != "__all__"] == []
    assert sorted(bound) == sorted(set(bound))
    assert not any(isinstance(node, ast.Global) for node in ast.walk(tree))


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_is_named_after_something(path: Path) -> None:
    """No module or folder is a drawer for what belongs nowhere."""
    assert not DRAWERS & set(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", [path for path in MODULES if "core" in path.parts], ids=relative)
def test_the_core_waits_for_nothing_and_reads_no_clock(path: Path) -> None:
    """Nothing in `core/` is async, and nothing there asks what time it is."""
    for node in ast.walk(parsed(path)):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith)
        assert not (isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today", "monotonic"})


def test_the_root_can_be_read_aloud() -> None:
    """At most 14 modules lie in the root of the package."""
    assert len([path for path in MODULES if path.parent.name == "recond" and path.name != "__init__.py"]) <= 14


@pytest.mark.parametrize("path", [path for path in MODULES if path.name != "__init__.py"], ids=relative)
def test_a_module_has_its_test(path: Path) -> None:
    """`recond/a/b.py` is tested by `tests/a/test_b.py`, or by its package's tests where the door is what counts."""
    folder = path.relative_to(ROOT / "recond").parent
    if folder.name in TESTED_AT_THE_DOOR:
        assert list((ROOT / "tests" / folder).glob("test_*.py"))
    elif relative(path) not in MODULES_WITHOUT_TEST:
        assert (ROOT / "tests" / folder / f"test_{path.name}").exists()


@pytest.mark.parametrize("path", [path for path in TESTS if path.name.startswith("test_")], ids=relative)
def test_a_test_file_has_its_module(path: Path) -> None:
    """`tests/a/test_b.py` tests `recond/a/b.py`, but for the named ones that test more than one."""
    inside = path.relative_to(ROOT / "tests")
    if relative(path) not in TESTS_OF_NO_MODULE and inside.parts[0] not in TEST_FOLDERS_OF_NO_MODULE:
        assert (ROOT / "recond" / inside.parent / path.name.removeprefix("test_")).exists()


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_a_test_says_what_it_proves(path: Path) -> None:
    """Each test has a docstring of one sentence."""
    for node in functions(parsed(path)):
        if node.name.startswith("test_"):
            assert (ast.get_docstring(node) or "").endswith("."), node.name


def pinned(name: str) -> dict[str, str]:
    """Each distribution that a lock names, with its release and hashes."""
    entries = re.split(r"\n(?=\S)", (ROOT / name).read_text(encoding="utf-8").strip())
    return {entry.partition("==")[0]: entry for entry in entries}


def test_what_is_installed_is_what_was_tested() -> None:
    """`requirements.lock` has no release that `requirements-test.lock` has not, no test tool, and names no host."""
    runs, tested = pinned("requirements.lock"), pinned("requirements-test.lock")
    assert {name: tested.get(name) for name in runs} == runs
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [
        {re.split("[<>=]", need)[0] for need in needs}
        for needs in (project["dependencies"], project["optional-dependencies"]["test"])
    ]
    assert names[0] <= runs.keys()
    assert names[1] <= tested.keys() - runs.keys()
    assert not any("://" in entry for entry in tested.values())
