"""One run from its config to its summary: what `experiments.train` and `experiments.quickstart` share."""

import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from .. import Connectivity, InputError, effective_connectivity, geometry, methods
from ..export import save_csr
from ..paths import units_without_synapse
from ..report import plot_run
from ..synapses import probing
from ..training import (
    Data,
    Recipe,
    RunFolder,
    Trainer,
    augmentation,
    calibration_batches,
    default_augmentation,
    find_loss,
    forward_of,
    load,
    load_checkpoint,
    save_checkpoint,
    steps_in_epoch,
)
from .chips import chip_allocation, placement_of
from .config import COMBINATION, Config, Runtime
from .parts import build_network, build_optimizer, check_names, pick_device

logger = logging.getLogger(__name__)


class Stopped(Exception):
    """A run was stopped before its end and can be resumed."""


def execute(config: Config, runtime: Runtime) -> dict[str, Any]:
    """Carry out a run, or the rest of one, and return its summary.

    Raises:
        InputError: something in the config or the folder is wrong; a folder that did not exist is not created.
        Stopped: by Ctrl-C or `stop_after`; the checkpoint is written.
    """
    trainer = make_trainer(config, runtime)
    writer = _tensorboard_writer() if runtime.tensorboard else None
    with RunFolder(runtime.out) as folder, ExitStack() as stack:
        if not runtime.resume:
            folder.start(config.to_json())
        elif (folder.path / "summary.json").is_file():
            return folder.read_json("summary.json")
        if folder.checkpoint.is_file():
            load_checkpoint(folder.checkpoint, trainer)
        folder.keep_rows(trainer.epoch)
        log = stack.enter_context(writer(folder.path / "tensorboard")) if writer else None
        stop = stack.enter_context(_stop_on_request(runtime.stop_after))
        _train(trainer, folder, stop, log, quiet=runtime.quiet)
        return _finish(config, trainer, folder)


def make_trainer(config: Config, runtime: Runtime) -> Trainer:
    """Everything that a run needs, at its start. Nothing is written.

    Raises:
        InputError: as the parts: unknown names, missing data, no such device, options that do not fit the method.
    """
    device = pick_device(runtime.device)
    check_names(config)
    data = load(
        config.data,
        root=runtime.data_root,
        download=not runtime.no_download,
        validation=config.validation,
        device=device,
    )
    torch.manual_seed(config.seed)
    # Channels last is what convolutions want, on CUDA and CPU alike: LeNet-5 trains 1.3 times as fast with it here.
    network = build_network(config, data.classes).to(device).to(memory_format=torch.channels_last)
    _check_forward(config, network, data)
    optimizer = build_optimizer(config, network)
    recipe = Recipe(
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.lr,
        hold=config.hold,
        seed=config.seed,
        loss=find_loss(config.loss),
        augment=augmentation(default_augmentation(config.data) if config.augment == "default" else config.augment),
        bf16=config.precision == "bf16",
    )
    steps = config.epochs * steps_in_epoch(data, config.batch_size)
    options = {"seed": config.seed, **_method_options(config)}
    if config.chip is not None:
        options["allocation"] = chip_allocation(config, network, example_of(data, network))
    method = methods.create(
        config.method,
        network,
        optimizer,
        steps=steps,
        batches=calibration_batches(data, config.calibration, batch_size=config.batch_size),
        loss=recipe.loss,
        **options,
    )
    forward = forward_of(network, runtime.compile, steps=steps)  # type: ignore[arg-type]
    if forward is not network:
        method.compile()
    return Trainer(network, optimizer, method, data, recipe, forward=forward)


def example_of(data: Data, network: nn.Module) -> Tensor:
    """One image, as the network takes it."""
    return data.prepare(data.train.images[:1].to(next(network.parameters()).device))


def _check_forward(config: Config, network: nn.Module, data: Data) -> None:
    """Find a network that is not made for these images before anything is trained.

    Raises:
        InputError: its forward pass fails, or gives something else than an output for each class.
    """
    images = example_of(data, network)
    shape = "x".join(map(str, data.shape))
    told = f"--model {config.model} does not go with the {shape} images and {data.classes} classes of {config.data}"
    with torch.no_grad(), torch.random.fork_rng(), probing(network):
        try:
            outputs = network(images)
        except (RuntimeError, ValueError) as error:
            reason, _, _ = str(error).partition("\n")
            raise InputError(f"{told}: {reason}") from error
    if not isinstance(outputs, Tensor) or outputs.shape[-2:] != (1, data.classes):
        found = list(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise InputError(f"{told}: outputs [T, 1, {data.classes}] are wanted, found {found}")


def _method_options(config: Config) -> dict[str, Any]:
    return {name: getattr(config, name) for name in ("density", "alpha", *COMBINATION)} | config.options


def _train(trainer: Trainer, folder: RunFolder, stop: Callable[[], bool], log: Any, *, quiet: bool) -> None:
    shown = True if quiet else None
    bar = tqdm(total=trainer.total_steps, initial=trainer.steps_done, unit="step", dynamic_ncols=True, disable=shown)
    with bar:
        while trainer.epoch < trainer.recipe.epochs:
            began = time.perf_counter()
            for _ in trainer.train_epoch(stop):
                bar.update()
            if trainer.batch < trainer.steps_per_epoch:
                _save_and_stop(trainer, folder)
            row = trainer.finish_epoch()
            if trainer.data.evaluated_on == "validation":
                row["evaluation_accuracy"] = trainer.evaluate()
            row["seconds"] = time.perf_counter() - began
            folder.add_row(row)
            save_checkpoint(folder.checkpoint, trainer)
            _show(row, bar, log, quiet=quiet)
            if stop() and trainer.epoch < trainer.recipe.epochs:
                _save_and_stop(trainer, folder)


def _show(row: dict[str, Any], bar: tqdm, log: Any, *, quiet: bool) -> None:
    figures = {"loss": f"{row['train_loss']:.4f}", "accuracy": f"{row['train_accuracy']:.2%}"}
    if "evaluation_accuracy" in row:
        figures["validation"] = f"{row['evaluation_accuracy']:.2%}"
    figures["density"] = f"{row['density']:.3%}"
    bar.set_postfix(figures)
    if bar.disable and not quiet:
        print(f"epoch {row['epoch']}:", ", ".join(f"{k} {v}" for k, v in figures.items()), file=sys.stderr, flush=True)
    if log is not None:
        for name in ("train_loss", "train_accuracy", "evaluation_accuracy", "density"):
            if name in row:
                log.add_scalar(name, row[name], row["epoch"])


def _save_and_stop(trainer: Trainer, folder: RunFolder) -> None:
    save_checkpoint(folder.checkpoint, trainer)
    raise Stopped(
        f"stopped at step {trainer.steps_done} of {trainer.total_steps}, saved; "
        f"go on with: python -m experiments.train --resume --out {folder.path}"
    )


def _finish(config: Config, trainer: Trainer, folder: RunFolder) -> dict[str, Any]:
    """Evaluate once, write connectivity, exports, pictures, and last of all the summary."""
    connectivity = trainer.method.finalize().to("cpu")
    network, rows = trainer.network, folder.rows()
    example = example_of(trainer.data, network)
    accuracy = trainer.evaluate()
    connectivity.save(folder.path / "connectivity.safetensors")
    save_csr(folder.path / "connectivity.npz", network, connectivity)
    plot_run(
        folder.path / "figures",
        metrics=rows,
        connectivity=connectivity,
        image_shape=trainer.data.shape,
        geometries=geometry(network),
    )
    summary = {
        "accuracy": accuracy,
        "evaluated_on": trainer.data.evaluated_on,
        "density": connectivity.density,
        "nonzero": connectivity.nonzero,
        "prunable": connectivity.prunable,
        **_connections(network, connectivity, example),
        **_effective(network, connectivity, example),
        "layers": connectivity.layers(),
        "seconds": sum(row["seconds"] for row in rows),
        "method": config.method,
        "model": config.model,
        "data": config.data,
        "neuron": config.neuron,
        "epochs": config.epochs,
        "steps": trainer.total_steps,
        "seed": config.seed,
    }
    if config.chip is not None:
        summary["chip"] = placement_of(config.chip, network, connectivity, example)
    folder.write_json("summary.json", summary)
    return summary


def _connections(network: nn.Module, connectivity: Connectivity, example: Tensor) -> dict[str, Any]:
    """Existing and possible pairs of neurons; nothing for a network with a convolution that does not run."""
    try:
        counts = connectivity.connections(geometry(network, example)).values()
    except InputError as error:
        logger.warning("connections are not counted: %s", error)
        return {"connections": None, "possible_connections": None}
    return {"connections": sum(here for here, _ in counts), "possible_connections": sum(total for _, total in counts)}


def _effective(network: nn.Module, connectivity: Connectivity, example: Tensor) -> dict[str, Any]:
    """What is left without dead neurons; nothing for a network on which paths cannot be counted."""
    try:
        effective = effective_connectivity(network, connectivity, example)
    except Exception as error:  # a network of the user's own may do anything in its forward pass
        logger.warning("no effective density: paths cannot be counted in this network (%s)", error)
        return {"effective_density": None, "dead_neurons": None}
    dead = units_without_synapse(network, effective)
    return {
        "effective_density": effective.density,
        "dead_neurons": {name: int(units.sum()) for name, units in dead.items()},
    }


@contextmanager
def _stop_on_request(stop_after: float | None) -> Iterator[Callable[[], bool]]:
    """Ask between steps whether to stop: Ctrl-C (a second one interrupts at once), or time is up."""
    began, asked = time.monotonic(), False

    def note(_number: int, _frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: asked or (stop_after is not None and time.monotonic() - began > stop_after)
    finally:
        signal.signal(signal.SIGINT, before)


def _tensorboard_writer() -> Callable[..., Any]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError("--tensorboard needs tensorboard: pip install snnprune[tensorboard]") from error
    return SummaryWriter
