"""The networks of this repository: found beside the installed package, or not at all."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import InputError
from ..registry import load_attribute

_FOLDER = Path(__file__).resolve().parents[2] / "models"


def repository_models() -> ModuleType:
    """The package `models` of the checkout that this library is in.

    Python's search path is not asked: it may begin with the current folder, and a folder of that name there is not
    ours.

    Raises:
        InputError: the library was installed from a wheel, which has no models.
    """
    if (known := sys.modules.get("models")) and _is_ours(known):
        return known
    name = "models" if known is None else "snnprune_repository_models"
    if name in sys.modules:
        return sys.modules[name]
    source = _FOLDER / "__init__.py"
    if not (source.is_file() and (_FOLDER.parent / "pyproject.toml").is_file()):
        raise InputError(
            "the networks of the repository (mnist-mlp, ...) are not part of the installed package: "
            "pass --model package.module:factory, or run from a checkout (pip install -e .)"
        )
    specification = importlib.util.spec_from_file_location(name, source, submodule_search_locations=[str(_FOLDER)])
    assert specification is not None
    assert specification.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def load_typed(path: str, what: str) -> Any:
    """Import the attribute that an option names, also from the current folder.

    That folder comes last on the search path, so that nothing in it takes the place of another module.

    Args:
        path: "package.module:attribute", as the user typed it. Never pass what a file says.
        what: the option, for error messages.

    Raises:
        InputError: it cannot be imported.
    """
    here = os.getcwd()
    sys.path.append(here)
    try:
        return load_attribute(path, what)
    finally:
        sys.path.remove(here)


def _is_ours(module: ModuleType) -> bool:
    return Path(getattr(module, "__file__", None) or ".").resolve().parent == _FOLDER
