"""A run with a network and data of the user's own."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import torch
from torch import nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .. import methods
from ..compiling import forward_of
from ..errors import InputError, shortened
from ..losses import Loss, find_loss
from ..options import Converted, Count, Fraction, NonNegative, Positive, Seed, Share, checked
from ..training import Data, Recipe, RunFolder, Trainer, calibration_batches, load, own_data, steps_in_epoch
from ..training.own_data import Pairs
from .config import Compile, Precision, Runtime
from .finished_run import FinishedRun, load_finished
from .parts import check_outputs, pick_device
from .run import carry_out

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
RateSchedule = Callable[[int, int], float] | LRScheduler


def _known_data(data: Any) -> Any:
    if not isinstance(data, str | Data) and not (isinstance(data, tuple | list) and len(data) == 2):
        raise InputError(
            "data must be a name, a Data, or (training, evaluation) with (inputs, labels) or a dataset each: "
            f"found {type(data).__name__}"
        )
    return data


@checked
def train(
    network: nn.Module,
    data: Annotated[str | Data | tuple[Pairs, Pairs], Converted(_known_data)],
    *,
    out: str | os.PathLike[str],
    method: str = "gradr",
    density: Share | None = None,
    epochs: Count = 15,
    batch_size: Count = 128,
    optimizer: Optimizer | OptimizerFactory | None = None,
    lr: Positive = 1e-3,
    schedule: RateSchedule | None = None,
    hold: Fraction = 0.8,
    loss: str | Loss = "mse",
    classes: Count | None = None,
    calibration: Count = 512,
    precision: Precision = "fp32",
    seed: Seed = 0,
    device: str = "auto",
    compile: Compile = "auto",
    resume: bool = False,
    quiet: bool = False,
    tensorboard: bool = False,
    stop_after: NonNegative | None = None,
    **options: Any,
) -> FinishedRun:
    """Train a network with a method and write a run folder: what `experiments.train` does, for objects of your own.

    There is a progress bar, a checkpoint after every epoch, and Ctrl-C saves and stops (`snnprune.runs.Stopped`);
    calling again with `resume=True` and a fresh network goes on to the same result. Neurons are reset for every batch.

    Args:
        network: takes inputs [B, ...], returns outputs [T, B, classes] or [B, classes]; it is moved to the device and
            trained in place.
        data: the name of a data set (`snnprune.training.load`), a `Data`, or (training, evaluation), each of them
            (inputs, labels) as tensors or a dataset of such pairs, ready for the network (`training.own_data`).
        out: the run folder.
        method: a name of `methods.names()`, or package.module:Class.
        density: share of the synapses to end with, in (0, 1]; "dense", "fixed" and what an own prior decides have none.
        epochs: passes over the training inputs.
        batch_size: inputs in a step.
        optimizer: of the network's parameters, or a function that makes one of them; None: Adam with `lr`.
        lr: learning rate of that Adam.
        schedule: of the learning rate: a function of steps done and all steps that returns the factor of the
            optimizer's learning rate, or a torch scheduler, stepped once after every optimizer step; None: constant for
            the share `hold` of the training, then a cosine to 0.
        hold: see `schedule`.
        loss: "mse", "ce" or "tet", or a function of outputs and labels.
        classes: number of classes; None: what the data say.
        calibration: training inputs given to a criterion.
        precision: "fp32", or "bf16" for autocast.
        seed: of the order of the inputs and of the method's draws. The network's weights are the caller's.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        compile: "auto", "on" or "off".
        resume: go on with the run in `out`.
        quiet: no progress on the screen.
        tensorboard: write TensorBoard files as well.
        stop_after: seconds after which to save and stop.
        options: of the method.

    Returns:
        The finished run: summary, connectivity, and the network with its final weights.

    Raises:
        InputError: a value that cannot be used, a network that does not fit the data (outputs of another number of
            classes than the labels have), or a folder that holds something else; a folder that did not exist is then
            not created.
        Stopped: by Ctrl-C or `stop_after`; the checkpoint is written.
    """
    settings = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "hold": hold, "calibration": calibration}
    settings |= {"precision": precision, "seed": seed, "method": method, "density": density}
    runtime = Runtime(
        out=os.fspath(out),
        resume=resume,
        device=device,
        compile=compile,
        quiet=quiet,
        tensorboard=tensorboard,
        stop_after=stop_after,
    )
    chosen_device = pick_device(device)
    material = _data(data, classes, chosen_device)
    network.to(chosen_device)
    check_outputs(network, material, type(network).__name__)
    made = _optimizer(optimizer, network, lr)
    recipe = Recipe(
        epochs=epochs,
        batch_size=batch_size,
        hold=hold,
        schedule=schedule,
        seed=seed,
        loss=find_loss(loss) if isinstance(loss, str) else loss,
        bf16=precision == "bf16",
    )
    steps = epochs * steps_in_epoch(material, batch_size)
    chosen = methods.create(
        method,
        network,
        made,
        steps=steps,
        batches=calibration_batches(material, calibration, batch_size=batch_size),
        loss=recipe.loss,
        seed=seed,
        density=density,
        **options,
    )
    own = {"optimizer": made, "schedule": schedule, "loss": loss, "options": options}
    description = _described(settings, network, material, own)
    try:
        forward = forward_of(network, compile, steps=steps)
        if forward is not network:
            chosen.compile()
        trainer = Trainer(network, made, chosen, material, recipe, forward=forward)
        if resume:
            _check_same(description, RunFolder(out))
        carry_out(trainer, description, runtime, again="runs.train(..., resume=True)")
    finally:
        chosen.detach()  # the optimizer may be the caller's
    return load_finished(RunFolder(out), network, material)


def _data(data: str | Data | tuple[Pairs, Pairs], classes: int | None, device: torch.device) -> Data:
    if isinstance(data, Data):
        return data
    if isinstance(data, str):
        return load(data, device=device)
    return own_data(*data, classes=classes, device=device)


def _optimizer(given: Optimizer | OptimizerFactory | None, network: nn.Module, lr: float) -> Optimizer:
    if given is None:
        return Adam(network.parameters(), lr=lr, fused=True)
    if isinstance(given, Optimizer):
        return given
    made = given(network.parameters()) if callable(given) else given
    if not isinstance(made, Optimizer):
        raise InputError(f"optimizer must be a torch optimizer or a function that makes one, found {shortened(made)}")
    return made


def _described(settings: Mapping[str, Any], network: nn.Module, data: Data, own: Mapping[str, Any]) -> dict[str, Any]:
    """Content of `config.json`: settings, and the objects by their names. No name in it is ever imported."""
    return {
        "made_by": "snnprune.runs.train",
        "model": f"{type(network).__module__}:{type(network).__qualname__}",
        "data": data.name,
        **settings,
        **{name: _plain(value) for name, value in own.items()},
    }


def _plain(value: Any) -> Any:
    """A value as JSON can hold it; of other objects the name of their type or function."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return getattr(value, "__qualname__", type(value).__name__)


def _check_same(description: Mapping[str, Any], folder: RunFolder) -> None:
    """Make sure that a run is resumed with the same settings."""
    written = folder.read_json("config.json")
    if different := [key for key, value in description.items() if written.get(key) != value]:
        found = ", ".join(f"{key} = {written.get(key)!r}" for key in different)
        raise InputError(f"the run in {folder.path} has {found}: resume it with the same, or choose another folder")
