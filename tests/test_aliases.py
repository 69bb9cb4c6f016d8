"""The names of the version before: they work for one release, and warn."""

import pytest

import snnprune
from snnprune import methods


def test_the_class_has_its_old_name_too():
    with pytest.warns(DeprecationWarning, match=r"snnprune\.Rewiring is now snnprune\.Method"):
        assert snnprune.Rewiring is methods.Method


def test_the_module_has_its_old_name_too():
    from snnprune import rewiring

    with pytest.warns(DeprecationWarning, match=r"snnprune\.rewiring is now snnprune\.methods"):
        assert rewiring.GradR is methods.GradR
    with pytest.warns(DeprecationWarning, match="is now"):
        assert rewiring.Rewiring is methods.Method
    with pytest.warns(DeprecationWarning, match="is now"), pytest.raises(AttributeError):
        rewiring.Nothing  # noqa: B018


def test_names_are_found_when_they_are_used():
    assert snnprune.GradR is methods.GradR
    assert snnprune.budget.find_chip("odin").key == "odin"
    assert all(hasattr(snnprune, name) for name in snnprune.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Graph'"):
        snnprune.Graph  # noqa: B018
