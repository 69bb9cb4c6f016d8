"""Do the tests notice changes of the arithmetic? Mutants by Cosmic Ray, each tried by the tests of its own room.

    pip install cosmic-ray
    python -m tests.mutants run --results mutants.csv

A mutant has one operator, comparison, number or logical word changed. `sample.csv` beside this file lists 120 of them,
over all rooms, drawn at random by `draw`. `run` changes one file after another in this checkout (commit first) and
restores it; a mutant that is in the results already is not tried again, so that the command can be stopped and called
again. It takes one to two hours. Mutants that no test can notice, because the changed code does the same, are named in
the sample with the reason, and do not count.
"""

import argparse
import ast
import csv
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from itertools import chain, islice
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_and_test, mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from cosmic_ray.work_item import MutationSpec

ROOT = Path(__file__).parents[2]
SAMPLE = Path(__file__).with_name("sample.csv")
SIZE, LEAST, MOST, SEED = 120, 2, 14, 0
# Seconds after which the tests of a room are ended; an endless loop has been noticed.
PATIENCE = 900
# Files that only lead to others.
DOORS = ("__init__.py", "__main__.py", "rewiring.py", "version.py")
# Operators as a slip of the pen would make them.
_ARITHMETIC = "(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)"
KINDS = re.compile(
    rf"core/(ReplaceBinaryOperator_{_ARITHMETIC}_{_ARITHMETIC}|ReplaceComparisonOperator_\w+|NumberReplacer"
    "|ReplaceAndWithOr|ReplaceOrWithAnd|AddNot)"
)
# Tests of the files of the ground floor that have no test file of their own name, and of rooms tested elsewhere.
TESTS = {
    "runs": ["tests/runs", "tests/experiments"],
    "compiling": ["tests/training/test_compiling.py"],
    "losses": ["tests/training"],
    "probe": ["tests/criteria", "tests/graph"],
    "text": ["tests/test_text.py", "tests/test_connectivity.py", "tests/budget"],
    "export": ["tests/export", "tests/storage/test_array_files.py"],
    "errors": ["tests/storage", "tests/options"],
    "cli": ["tests/budget/test_report.py", "tests/budget/test_chips.py"],
    "shapes": ["tests/test_shapes.py", "tests/test_connectivity.py"],
    "synapses": [f"tests/test_{name}.py" for name in ("synapses", "synapse_kinds", "acting", "unpruned")],
    "paths": ["tests/test_paths.py", "tests/graph"],
}
# Tests that look at all rooms, and take a second.
EVERYWHERE = ["tests/test_signatures.py"]


@dataclass(frozen=True)
class Mutant:
    """One change: of which file, by which operator, at its how-manyth occurrence; the line as it was; and a remark."""

    path: str
    operator: str
    occurrence: int
    line: str
    equivalent: str = ""

    @property
    def room(self) -> str:
        """The room or the file of the ground floor."""
        return Path(self.path).parts[1].removesuffix(".py")


def all_mutants(path: Path) -> Iterator[Mutant]:
    """Yield all mutants of a file, but for those in annotations and docstrings, which change no behaviour."""
    source, tree = path.read_text().splitlines(), get_ast_from_path(path)
    silent = _annotations(path)
    for name in operator_names():
        operator = get_operator(name)
        if not KINDS.fullmatch(name):
            continue
        found = [start for node in ast_nodes(tree) for start, _ in operator().mutation_positions(node)]
        for occurrence, (line, column) in enumerate(found):
            if not any(first <= (line, column) < last for first, last in silent):
                yield Mutant(str(path.relative_to(ROOT)), name, occurrence, source[line - 1].strip())


def _annotations(path: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    parts: list[ast.AST | None] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.arg | ast.AnnAssign):
            parts.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            parts.append(node.returns)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
            parts.append(node.args[1])
    return [
        ((part.lineno, part.col_offset), (part.end_lineno or 0, part.end_col_offset or 0))  # type: ignore[attr-defined]
        for part in parts
        if part is not None
    ]


def draw() -> None:
    """Write a sample: of each room in proportion to its mutants, two at least and 14 at most, in all 120.

    Mutants of the sample that is there stay in it as long as their lines do.
    """
    rooms: dict[str, list[Mutant]] = {}
    for path in sorted((ROOT / "snnprune").rglob("*.py")):
        if path.relative_to(ROOT / "snnprune").as_posix() in DOORS:
            continue
        for mutant in all_mutants(path):
            rooms.setdefault(mutant.room, []).append(mutant)
    total, numbers = sum(map(len, rooms.values())), random.Random(SEED)
    known = read() if SAMPLE.is_file() else []
    chosen: list[list[Mutant]] = []
    for mutants in sorted(rooms.values(), key=len):
        # One mutant a line: many operators change the same spot.
        lines = list({(mutant.path, mutant.line): mutant for mutant in numbers.sample(mutants, len(mutants))}.values())
        kept = [mutant for mutant in known if replace(mutant, equivalent="") in mutants]
        fitting = (mutant for mutant in lines if mutant not in kept and _compiles(mutant))
        chosen.append(
            list(islice(chain(kept, fitting), min(MOST, max(LEAST, round(1.5 * SIZE * len(mutants) / total)))))
        )
    surplus = sum(map(len, chosen)) - SIZE
    while surplus > 0:  # the largest shares give way
        max(chosen, key=len).pop()
        surplus -= 1
    sample = [mutant for mutants in chosen for mutant in mutants]
    numbers.shuffle(sample)
    _write(SAMPLE, [asdict(mutant) for mutant in sample])


def _compiles(mutant: Mutant) -> bool:
    """Return whether the changed file is Python: the star of keyword-only parameters is no product."""
    code = (ROOT / mutant.path).read_text()
    changed = mutate_code(code, get_operator(mutant.operator)(), mutant.occurrence)
    try:
        compile(changed or "", mutant.path, "exec")
    except SyntaxError:
        return False
    return changed is not None


def read(path: Path = SAMPLE) -> list[Mutant]:
    """Return the mutants of a sample."""
    with path.open(newline="", encoding="utf-8") as file:
        return [Mutant(**{**row, "occurrence": int(row["occurrence"])}) for row in csv.DictReader(file)]  # type: ignore


def run(results: Path, part: tuple[int, int]) -> None:
    """Try the mutants of a part of the sample that have no result yet, and print what survived."""
    done = {row["path"] + row["operator"] + row["occurrence"]: row for row in _rows(results)}
    for mutant in read()[part[0] - 1 :: part[1]]:
        key = f"{mutant.path}{mutant.operator}{mutant.occurrence}"
        if key not in done:
            row = {**asdict(mutant), "outcome": "equivalent" if mutant.equivalent else _try(mutant)}
            done[key] = {name: str(value) for name, value in row.items()}
            _write(results, list(done.values()))
            print(done[key]["outcome"], mutant.path, mutant.line, flush=True)
    counted = [row for row in done.values() if row["outcome"] != "equivalent"]
    killed = sum(row["outcome"] == "killed" for row in counted)
    print(f"{killed} of {len(counted)} mutants were noticed ({killed / max(1, len(counted)):.1%})")


def _try(mutant: Mutant) -> str:
    """Return "killed", "survived", or what went wrong."""
    if mutant not in [Mutant(m.path, m.operator, m.occurrence, m.line) for m in all_mutants(ROOT / mutant.path)]:
        return "gone"
    at = {"start_pos": (0, 0), "end_pos": (0, 1)}
    change = MutationSpec(Path(mutant.path), mutant.operator, mutant.occurrence, **at)
    tests = [path for path in _tests_of(mutant.room) if (ROOT / path).exists()]
    command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {' '.join(tests)}"
    outcome = mutate_and_test([change], command, PATIENCE).test_outcome
    return outcome.value if outcome is not None else "not changed"


def _tests_of(room: str) -> list[str]:
    return [*TESTS.get(room, [f"tests/{room}", f"tests/test_{room}.py"]), *EVERYWHERE]


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        names = [field.name for field in fields(Mutant)]
        writer = csv.DictWriter(file, [*names, *([] if "outcome" not in rows[0] else ["outcome"])], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("draw", "run"), help="draw a new sample, or try the mutants of the sample")
    parser.add_argument("--results", type=Path, default=Path("mutants.csv"), help="file of the results")
    parser.add_argument(
        "--part", default="1/1", help="K/N: every N-th mutant from the K-th on, in a checkout of its own"
    )
    options = parser.parse_args()
    if options.what == "draw":
        draw()
    else:
        first, of = map(int, options.part.split("/"))
        run(options.results, (first, of))


if __name__ == "__main__":
    main()
