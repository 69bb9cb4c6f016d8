"""A finished run, read back. A run folder is data: nothing that it names is imported."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..connectivity import Connectivity
from ..errors import InputError
from ..storage import exists
from ..training import Data, RunFolder, check_config, load, load_network
from .config import Config
from .parts import network_factory
from .summary import read_summary

# Evaluation inputs that are run together.
_BATCH = 128


@dataclass(frozen=True)
class FinishedRun:
    """A run folder with the network and the data that belong to it.

    Attributes:
        folder: where it is.
        config: content of `config.json`.
        summary: content of `summary.json`.
        network: with its final weights.
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

    def __repr__(self) -> str:
        accuracy = f"{self.summary['accuracy']:.2%} on the {self.summary['evaluated_on']} inputs"
        return f"FinishedRun({str(self.folder)!r}: {accuracy}, {self.connectivity!r})"

    def example(self) -> Tensor:
        """One input, as the network takes it."""
        return self.data.prepare(self.data.evaluation.images[:1])

    def batches(self, samples: int) -> Iterator[Tensor]:
        """The first `samples` evaluation inputs, as the network takes them."""
        for images in self.data.evaluation.images[:samples].split(_BATCH):
            yield self.data.prepare(images)


def read_run(
    folder: str | os.PathLike[str],
    *,
    model: str | None = None,
    data_root: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> FinishedRun:
    """Read a finished run of `experiments.train`.

    Args:
        folder: the run folder.
        model: `package.module:factory` of a network of the user's own; it is called with those of `timesteps`,
            `neuron` and `classes` that it takes.
        data_root: as in `training.load`.
        download: likewise.

    Raises:
        InputError: no run, one that is not finished, a network of the user's own without `model`, data of the user's
            own, or damaged files.
    """
    run = RunFolder(folder)
    config = run.read_json("config.json")
    if not exists(run.path / "summary.json"):
        raise InputError(f"{folder} is not finished: python -m experiments.train --resume --out {folder} goes on")
    if "made_by" in config:
        raise InputError(
            f"{folder} was made by {config['made_by']} from objects, which no file holds: load its weights with "
            "training.load_network, and report it with budget.assess(network, batches) and report.save_page"
        )
    for key in ("model", "data", "neuron", "timesteps"):
        if key not in config:
            raise InputError(f"{run.path / 'config.json'} needs {key}, found None: use another copy")
    chosen = Config.from_json(config, str(run.path / "config.json"))
    if model is None and ":" in chosen.model:
        raise InputError(
            f"the run's network is {chosen.model}: a folder's word alone imports nothing, pass --model {chosen.model}"
        )
    check_config(run.checkpoint, config)
    root = None if data_root is None else Path(data_root)
    data = load(chosen.data, root=root, download=download, images=chosen.images)
    make = network_factory(chosen.model if model is None else model)
    network = make(timesteps=chosen.timesteps, neuron=chosen.neuron, classes=data.classes)
    return load_finished(run, network, data)


def load_finished(run: RunFolder, network: nn.Module, data: Data) -> FinishedRun:
    """A finished run whose network and data are at hand.

    Args:
        run: its folder.
        network: gets the final weights.
        data: that it was trained on.

    Raises:
        InputError: files that are missing, damaged, or of another network.
    """
    summary = read_summary(run)
    load_network(run.checkpoint, network)
    connectivity = Connectivity.load(run.path / "connectivity.safetensors")
    connectivity.check(network)
    return FinishedRun(run.path, run.read_json("config.json"), summary, network.eval(), connectivity, data, run.rows())
