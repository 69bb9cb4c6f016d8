"""How functions are called, for all rooms: every argument can be given by its name, and options only by their name."""

import ast
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from snnprune import budget, report, runs
from snnprune.allocation import ALLOCATIONS, fan_in_cap, fan_out_cap, n_of_m
from snnprune.criteria.registry import CRITERIA

ROOT = Path(__file__).parents[1]


def positional(function: Callable) -> list[str]:
    """The names of the arguments that can be given by position."""
    return [
        name
        for name, found in inspect.signature(function).parameters.items()
        if found.kind <= found.POSITIONAL_OR_KEYWORD
    ]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "snnprune").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_argument_can_be_given_by_its_name(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            assert not node.args.posonlyargs, f"{path}, line {node.lineno}"


@pytest.mark.parametrize("allocation", [*ALLOCATIONS.values(), n_of_m, fan_in_cap, fan_out_cap])
def test_an_allocation_takes_scores_density_and_geometries_by_position(allocation):
    assert positional(allocation) == ["scores", "density", "geometries"]


@pytest.mark.parametrize("name", CRITERIA)
def test_a_criterion_takes_a_network_and_batches_by_position(name):
    assert positional(CRITERIA[name].function) == ["network", "batches"]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (budget.assess, ["network", "batches"]),
        (report.plot_connectivity, ["mask"]),
        (runs.train, ["network", "data"]),
    ],
)
def test_options_are_given_by_their_names(function, expected):
    assert positional(function) == expected
