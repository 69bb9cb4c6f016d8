"""One registry for all kinds of things by name, and one loader of package.module:attribute."""

import sys
from pathlib import Path

import pytest

from snnprune import InputError, allocation, budget, criteria, losses, methods, schedules
from snnprune.registry import Registry, load_attribute


@pytest.fixture
def colours() -> Registry[str]:
    registry: Registry[str] = Registry("colour", hint="or a hex code")
    registry.add("red", "#f00")
    registry.add("blue", "#00f")
    return registry


def test_entries_are_found_by_name_and_listed(colours):
    assert colours.find("red") == colours["red"] == "#f00"
    assert colours.names() == ["blue", "red"]
    assert (list(colours), len(colours)) == (["red", "blue"], 2)
    with pytest.raises(InputError, match="unknown colour 'mauve': known are blue, red, or a hex code"):
        colours.find("mauve")
    with pytest.raises(InputError, match="unknown colour 3"):
        colours.find(3)  # pyright: ignore[reportArgumentType]


def test_a_name_is_taken_once(colours):
    colours.add("red", "#f00")  # the same entry again
    with pytest.raises(InputError, match="the colour name 'red' is taken by '#f00'"):
        colours.add("red", "#e00")
    with pytest.raises(InputError, match="the colour name 'red' is taken"):
        colours.add_path("red", "json:dumps")
    assert colours["red"] == "#f00"


def test_the_owner_of_a_name_is_described_as_well_as_it_can_be():
    registry: Registry[object] = Registry("colour")
    for name, entry in {"path": Path("red"), "class": Path, "nothing": None}.items():
        registry.add(name, entry)
    for name, message in {"path": r"PosixPath\('red'\)", "class": r"pathlib\S*\.Path", "nothing": "None"}.items():
        with pytest.raises(InputError, match=f"the colour name '{name}' is taken by {message}$"):
            registry.add(name, 3)


def test_a_path_is_imported_when_it_is_first_used(colours, tmp_path, monkeypatch):
    (tmp_path / "paints.py").write_text("GREEN = '#0f0'\n")
    monkeypatch.syspath_prepend(tmp_path)
    colours.add_path("green", "paints:GREEN")
    colours.add_path("grey", "paints:GREY")
    assert colours.names() == ["blue", "green", "grey", "red"]
    assert "green" in colours
    assert "paints" not in sys.modules
    assert colours.find("green") == "#0f0"
    with pytest.raises(InputError, match="colour grey paints:GREY cannot be imported: module"):
        colours.find("grey")
    monkeypatch.delitem(sys.modules, "paints")


@pytest.mark.parametrize("path", ["json", "json:", ":dumps", ""])
def test_a_path_has_two_parts(path):
    with pytest.raises(InputError, match=r"--model must be package\.module:attribute, found"):
        load_attribute(path, "--model")


def test_a_failed_import_is_one_error():
    with pytest.raises(InputError, match=r"--model no\.such:thing cannot be imported"):
        load_attribute("no.such:thing", "--model")
    assert load_attribute("json:dumps", "--model")([1]) == "[1]"


@pytest.mark.parametrize(
    ("registry", "kind"),
    [
        (methods.METHODS, "method"),
        (criteria.registry.CRITERIA, "criterion"),
        (allocation.ALLOCATIONS, "allocation"),
        (schedules.SCHEDULES, "schedule"),
        (losses.LOSSES, "loss"),
        (budget.CHIPS, "chip"),
    ],
)
def test_all_kinds_have_one(registry, kind):
    assert isinstance(registry, Registry)
    assert registry.kind == kind
    assert len(registry) >= 3
    with pytest.raises(InputError, match=f"unknown {kind} 'nothing': known are "):
        registry.find("nothing")
