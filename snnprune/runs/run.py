"""One run from its config to its summary, or the rest of one that was stopped."""

import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from tqdm import tqdm

from .. import methods
from ..compiling import forward_of
from ..errors import InputError, Stopped
from ..storage import exists
from ..training import (
    Recipe,
    RunFolder,
    Trainer,
    augmentation,
    calibration_batches,
    check_config,
    default_augmentation,
    find_loss,
    load,
    steps_in_epoch,
)
from .chips import chip_allocation
from .config import COMBINATION, Config, Runtime, flag
from .journal import Journal
from .parts import (
    build_network,
    build_optimizer,
    check_goal,
    check_names,
    check_outputs,
    example_of,
    pick_device,
)
from .summary import finish, read_summary
from .tensorboard import Log, tensorboard_writer


def execute(config: Config, runtime: Runtime) -> dict[str, Any]:
    """Carry out a run, or the rest of one, and return its summary.

    Raises:
        InputError: something in the config or the folder is wrong; a folder that did not exist is not created.
        Stopped: by Ctrl-C or `stop_after`; the checkpoint is written.
    """
    if runtime.resume:
        check_same(config, RunFolder(runtime.out))
    again = f"python -m experiments.train --resume --out {runtime.out}"
    return carry_out(make_trainer(config, runtime), config.to_json(), runtime, again=again)


def carry_out(trainer: Trainer, description: Mapping[str, Any], runtime: Runtime, *, again: str) -> dict[str, Any]:
    """Train to the end in a run folder, and return the summary.

    Args:
        trainer: at its start.
        description: content of `config.json`.
        runtime: where; without its device and data, which the trainer has.
        again: how to go on with a run that was stopped, for the message.

    Raises:
        InputError: the folder holds something else, or the loss is no longer finite.
        Stopped: by Ctrl-C or `stop_after`; the checkpoint is written.
    """
    writer = tensorboard_writer() if runtime.tensorboard else None
    with RunFolder(runtime.out) as folder, ExitStack() as stack:
        if not runtime.resume:
            folder.start(description)
        elif exists(folder.path / "summary.json"):
            return _finished(folder)
        journal = Journal(folder, trainer, resume=runtime.resume)
        log = stack.enter_context(Log(folder, writer)) if writer else None
        stop = stack.enter_context(_stop_on_request(runtime.stop_after))
        if not _train(trainer, journal, stop, log, quiet=runtime.quiet):
            journal.save()
            done = f"{trainer.steps_done} of {trainer.total_steps}"
            raise Stopped(f"stopped at step {done}, saved; go on with: {again}")
        return finish(description, trainer, folder, journal.rows)


def check_same(config: Config, folder: RunFolder) -> None:
    """Make sure that a run is resumed with the config that its folder holds.

    Raises:
        InputError: no run there, or one with other options; they are named with the values in the folder.
    """
    written = Config.from_json(folder.read_json("config.json"), str(folder.path / "config.json"))
    if different := written.different(config):
        found = ", ".join(f"{flag(name)} {getattr(written, name)}" for name in different)
        raise InputError(
            f"the run in {folder.path} has {found}: resume it with the same options, or choose another --out"
        )


def make_trainer(config: Config, runtime: Runtime) -> Trainer:
    """Everything that a run needs, at its start. Nothing is written.

    Raises:
        InputError: as the parts: unknown names, missing data, no such device, options that do not fit the method.
    """
    device = pick_device(runtime.device)
    check_names(config)
    if not runtime.resume:  # runs of earlier versions may have neither
        check_goal(config)
    data = load(
        config.data,
        root=runtime.data_root,
        download=not runtime.no_download,
        validation=config.validation,
        images=config.images,
        device=device,
    )
    torch.manual_seed(config.seed)
    # Channels last is what convolutions want, on CUDA and CPU alike: LeNet-5 trains 1.3 times as fast with it here.
    network = build_network(config, data.classes).to(device).to(memory_format=torch.channels_last)
    check_outputs(network, data, f"--model {config.model}")
    optimizer = build_optimizer(config, network)
    recipe = Recipe(
        epochs=config.epochs,
        batch_size=config.batch_size,
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
    forward = forward_of(network, runtime.compile, steps=steps)
    if forward is not network:
        method.compile()
    return Trainer(network, optimizer, method, data, recipe, forward=forward)


def _method_options(config: Config) -> dict[str, Any]:
    return {name: getattr(config, name) for name in ("density", "alpha", *COMBINATION)} | config.options


def _finished(folder: RunFolder) -> dict[str, Any]:
    """Return the summary of a run that is finished already."""
    if exists(folder.checkpoint):
        check_config(folder.checkpoint, folder.read_json("config.json"))
    return read_summary(folder)


def _train(trainer: Trainer, journal: Journal, stop: Callable[[], bool], log: Any, *, quiet: bool) -> bool:
    """Train until the end, or until `stop` says so; returns whether the end was reached."""
    hidden = True if quiet else None
    with tqdm(
        total=trainer.total_steps, initial=trainer.steps_done, unit="step", dynamic_ncols=True, disable=hidden
    ) as bar:
        while trainer.epoch < trainer.recipe.epochs:
            began = time.perf_counter()
            for _ in trainer.train_epoch(stop):
                bar.update()
            if trainer.batch < trainer.steps_per_epoch:
                return False
            row = trainer.finish_epoch()
            if trainer.data.evaluated_on == "validation":
                row["evaluation_accuracy"] = trainer.evaluate()
            row["seconds"] = time.perf_counter() - began
            journal.add(row)
            _show(row, bar, log, quiet=quiet)
            if stop() and trainer.epoch < trainer.recipe.epochs:
                return False
    return True


def _show(row: dict[str, Any], bar: tqdm, log: Any, *, quiet: bool) -> None:
    figures = {"loss": f"{row['train_loss']:.4f}", "accuracy": f"{row['train_accuracy']:.2%}"}
    if "evaluation_accuracy" in row:
        figures["validation"] = f"{row['evaluation_accuracy']:.2%}"
    figures["density"] = f"{row['density']:.3%}"
    bar.set_postfix(figures)
    if bar.disable and not quiet:
        print(f"epoch {row['epoch']}:", ", ".join(f"{k} {v}" for k, v in figures.items()), file=sys.stderr, flush=True)
    if log is not None:
        log.add(row)


@contextmanager
def _stop_on_request(stop_after: float | None) -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether to stop: after Ctrl-C or SIGTERM (a second interrupts at once), or in time.

    A worker of a comparison is ended by SIGTERM at once: a pool sends it to workers that it has given up.
    """
    began, requested = time.monotonic(), False
    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield lambda: stop_after is not None and time.monotonic() - began > stop_after
        return

    def note(_number: int, _frame: Any) -> None:
        """Ask for a stop; interrupt if that was done already."""
        nonlocal requested
        if requested:
            raise KeyboardInterrupt
        requested = True

    numbers = (signal.SIGINT, signal.SIGTERM) if multiprocessing.parent_process() is None else (signal.SIGINT,)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield lambda: requested or (stop_after is not None and time.monotonic() - began > stop_after)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
