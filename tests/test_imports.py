"""Imports point one way, room by room; those inside functions count, and so do those for type checkers."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSES = ("snnprune", "models", "experiments", "benchmarks")
# Each floor may import from the floors below it. Rooms on one floor do not know each other.
FLOORS: list[set[str]] = [
    {"errors", "version", "strides", "selection"},
    {"registry", "storage", "options", "synapses", "shapes", "text"},
    {"compiling", "losses", "schedules", "seeding", "layout", "connectivity", "probe", "models"},
    {"graph", "allocation", "export"},
    {"paths", "criteria"},
    {"methods"},
    {"budget", "training", "report"},
    {"runs"},
    {"cli", "experiments"},
    {"benchmarks"},
]
FLOOR = {room: height for height, floor in enumerate(FLOORS) for room in floor}
# Names of the library that are found when they are first used, and the door of the command.
DOORS = {"__init__", "__main__", "rewiring"}
FILES = [path for name in HOUSES for path in sorted((ROOT / name).rglob("*.py"))]


def room_of(module: str) -> str:
    """ "methods" for "snnprune.methods.base", "experiments" for "experiments.train"."""
    first, _, rest = module.partition(".")
    return rest.partition(".")[0] or "__init__" if first == "snnprune" else first


def imported(path: Path) -> Iterator[str]:
    """The modules of this repository that a file imports, with their full names."""
    package = [*path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # "from .. import methods" imports a room, "from ..errors import InputError" a name of one
            yield from (f"{module}.{alias.name}" for alias in node.names) if module == "snnprune" else (module,)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    own = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    if own in DOORS:
        return
    for module in imported(path):
        if module.partition(".")[0] not in HOUSES:
            continue
        other = room_of(module)
        if other == own:
            continue
        if other not in FLOOR:  # a name of the library's front, such as InputError: for scripts alone
            assert own in ("experiments", "benchmarks"), f"{path} imports {module} through the front"
            continue
        assert FLOOR[other] < FLOOR[own], f"{path}: {own} (floor {FLOOR[own]}) imports {module}"


def test_every_room_has_a_floor():
    rooms = {
        path.stem for path in (ROOT / "snnprune").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert rooms - DOORS <= FLOOR.keys()
    assert len(FLOORS) <= 10


def test_no_folder_holds_more_than_twenty_files():
    for folder in {path.parent for path in FILES}:
        assert len([path for path in folder.glob("*.py") if path.stem != "__init__"]) <= 20, folder


def test_the_ground_imports_torch_alone():
    for path in FILES:
        room = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
        if FLOOR.get(room, 99) > 2 or room == "models":
            continue
        outside = {name.partition(".")[0] for name in imported(path)} - sys.stdlib_module_names
        # safetensors writes files; SpikingJelly is imported inside functions; numpy ranks and draws
        assert outside <= {"torch", "snnprune", "safetensors", "spikingjelly", "numpy"}, path
