"""The house: who may know whom, where each library lives, and how large things may get.

    cli -> report -> check -> localrun -> runner -> world -> files -> words -> errors

A module imports only what stands below it. The world's modules don't know each other, and the words
don't know that there is a world: no clock, no chance, no disk, no other process.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "spoolrunner"

CLI = {"cli", "__main__"}
REPORT = {"report"}
CHECK = {"check", "jobrunner"}
LOCALRUN = {"localrun"}
RUNNER = {"runner"}
WORLD = {"checkout", "config", "executor", "jobserver", "notify", "spool", "wake", "workspace"}
FILES = {"beneath", "files", "lock", "notebook", "reflink"}
WORDS = {
    *("audit", "drop", "envfile", "figures", "headway", "index", "joblog", "manifest", "masks"),
    *("outputs", "plan", "project", "record", "release", "request", "setting", "settings", "units"),
    *("verdict", "weights", "wire"),
}
LAYERS = [CLI, REPORT, CHECK, LOCALRUN, RUNNER, WORLD, FILES, WORDS, {"errors"}]

LIBRARIES = {
    "click": "cli",
    "docker": "executor",
    "filelock": "lock",
    "msgspec": "record",
    "requests": "jobserver",
    "rich": "report",
    "ruamel": "project",
    "urllib3": "jobserver",
    "watchdog": "wake",
}
OF_THE_WORLD = {
    *("logging", "os", "random", "secrets", "shutil", "signal", "socket", "subprocess"),
    *("tempfile", "threading", "time"),
}
# msgspec can't take a type apart in two threads at once.
ALLOWED = {"record": {"threading"}}

MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_A_FUNCTION = 30
# A program of its own that can import nothing of ours: splitting it would only hide that.
LONGER = {"keeper.py": 360}

MODULES = sorted(PACKAGE.rglob("*.py"))
each_module = pytest.mark.parametrize(
    "path", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES]
)


def house(path: Path) -> str:
    """The module of the picture that a file belongs to: runner/mover.py -> runner."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def layer(name: str) -> int:
    for number, names in enumerate(LAYERS):
        if name in names:
            return number
    raise AssertionError(f"{name} has no place in the picture: add it to one of its layers")


def imports(path: Path) -> Iterator[str]:
    """Dotted names, wherever in the file they are imported."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            module = node.module or ""
            # `from spoolrunner import plan` names a module, `from os import path` need not
            own = [f"{module}.{each.name}" for each in node.names if module == "spoolrunner"]
            yield from own or [module]


def own_imports(path: Path) -> set[str]:
    dotted = [name.split(".") for name in imports(path)]
    found = {parts[1] for parts in dotted if parts[0] == "spoolrunner" and len(parts) > 1}
    return {name for name in found if not name.startswith("__")} - {house(path)}


@each_module
def test_a_module_knows_only_what_stands_below_it(path):
    if path == PACKAGE / "__init__.py":
        assert not own_imports(path)
        return
    mine = layer(house(path))
    beside = {other for other in own_imports(path) if layer(other) == mine}
    above = {other for other in own_imports(path) if layer(other) < mine}
    assert not above, f"{house(path)} must not know {above}"
    assert not (mine == LAYERS.index(WORLD) and beside), f"{house(path)} must not know {beside}"


def test_nothing_knows_itself_by_a_detour():
    knows: dict[str, set[str]] = {}
    for path in MODULES:
        knows.setdefault(house(path), set()).update(own_imports(path))
    settled: set[str] = set()
    while ready := {name for name in knows.keys() - settled if knows[name] <= settled}:
        settled |= ready
    assert settled == knows.keys(), f"a circle runs through {knows.keys() - settled}"


@pytest.mark.parametrize("name", sorted(WORDS | {"errors"}))
def test_words_do_not_know_the_world(name):
    paths = [path for path in MODULES if house(path) == name]
    assert paths, f"there is no {name}"
    for path in paths:
        found = {dotted.split(".")[0] for dotted in imports(path)} & OF_THE_WORLD
        found -= ALLOWED.get(name, set())
        assert not found, f"{path.name} imports {found}"


@each_module
def test_each_library_lives_in_one_module(path):
    tops = {dotted.split(".")[0] for dotted in imports(path)} - {"spoolrunner"}
    for library in tops - sys.stdlib_module_names:
        assert LIBRARIES.get(library) == house(path), f"{library} does not belong here"


def test_what_setup_asks_for_is_what_is_used():
    asked = re.search(
        r"install_requires=\[(.*?)\]", (PACKAGE.parent / "setup.py").read_text(), re.DOTALL
    )
    assert asked
    names = {name.split(".")[0] for name in re.findall(r'"([\w.-]+)>=[\d.]+,<[\d.]+"', asked[1])}
    used = {dotted.split(".")[0] for path in MODULES for dotted in imports(path)}
    assert names == set(LIBRARIES)
    assert names <= used, f"nothing imports {names - used}"


def test_settings_come_from_the_configuration_alone():
    # checkout hands the machine's PATH, proxies and certificates on to git; these are no settings
    allowed = {"cli", "config", "checkout"}
    readers = {
        house(path) for path in MODULES if re.search(r"os\.(environ|getenv)", path.read_text())
    }
    assert readers <= allowed


@each_module
def test_a_file_fits_in_the_head(path):
    assert len(path.read_text().splitlines()) <= LONGER.get(path.name, MOST_LINES_OF_A_FILE)


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines below the signature, without the docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


@each_module
def test_a_function_fits_on_the_screen(path):
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = {each.name: code_lines(each) for each in functions}
    assert {name: n for name, n in long.items() if n > MOST_LINES_OF_A_FUNCTION} == {}


@each_module
def test_a_module_begins_by_saying_what_it_is(path):
    tree = ast.parse(path.read_bytes())
    assert ast.get_docstring(tree) or not tree.body
