"""A finished run of `experiments.train`, read back. A run folder is data: nothing that it names is imported."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..connectivity import Connectivity
from ..errors import InputError
from ..training import Data, RunFolder, load, load_network

# Test images that are run together.
_BATCH = 128


@dataclass(frozen=True)
class FinishedRun:
    """What a run left.

    Attributes:
        folder: where it is.
        config: what it was told.
        summary: what it came to.
        network: with its weights.
        connectivity: of that network.
        data: what it was trained on.
        rows: of its metrics, one an epoch.
    """

    folder: Path
    config: dict[str, Any]
    summary: dict[str, Any]
    network: nn.Module
    connectivity: Connectivity
    data: Data
    rows: list[dict[str, Any]]

    def example(self) -> Tensor:
        """One image, as the network takes it."""
        return self.data.prepare(self.data.evaluation.images[:1])

    def batches(self, samples: int) -> Iterator[Tensor]:
        """The first so many evaluation images, as the network takes them."""
        for images in self.data.evaluation.images[:samples].split(_BATCH):
            yield self.data.prepare(images)


def read_run(
    folder: str | os.PathLike[str],
    *,
    model: str | None = None,
    data_root: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> FinishedRun:
    """Read a run that is done.

    Args:
        folder: of `experiments.train`.
        model: `package.module:factory` of a network of the user's own; it is called with those of `timesteps`,
            `neuron` and `classes` that it takes.
        data_root: as in `training.load`.
        download: likewise.

    Raises:
        InputError: no run, one that is not done, a network of the user's own without `model`, or damaged files.
    """
    run = RunFolder(folder)
    config = run.read_json("config.json")
    if not (run.path / "summary.json").is_file():
        raise InputError(f"{folder} is not done: go on with python -m experiments.train --resume --out {folder}")
    summary = run.read_json("summary.json")
    for key, kind in {"model": str, "data": str, "neuron": str, "timesteps": int}.items():
        if not isinstance(config.get(key), kind):
            raise InputError(f"{run.path / 'config.json'} needs {key}, found {config.get(key)!r}")
    root = None if data_root is None else Path(data_root)
    data = load(config["data"], root=root, download=download)
    network = _factory(config["model"], model)(
        timesteps=config["timesteps"], neuron=config["neuron"], classes=data.classes
    )
    load_network(run.checkpoint, network)
    connectivity = Connectivity.load(run.path / "connectivity.safetensors")
    connectivity.check(network)
    return FinishedRun(run.path, config, summary, network.eval(), connectivity, data, run.rows())


def _factory(named: str, given: str | None) -> Callable[..., nn.Module]:
    """What makes the network."""
    if given is None and ":" in named:
        raise InputError(f"the run's network is {named}: a folder's word alone imports nothing, pass --model {named}")
    sys.path.insert(0, os.getcwd())  # the checkout, or where the user's own module lies
    try:
        if given is None:
            return partial(importlib.import_module("models").build, named)
        module, _, attribute = given.partition(":")
        made = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        hint = "run this from the checkout, where models/ is" if given is None else "wanted: package.module:factory"
        raise InputError(f"{given or 'models'} cannot be imported ({error}): {hint}") from error
    finally:
        sys.path.pop(0)
    taken = inspect.signature(made).parameters
    return lambda **options: made(**{name: value for name, value in options.items() if name in taken})
