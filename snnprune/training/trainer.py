"""The training loop: one network, one optimizer, one method, one data set."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ..errors import InputError
from ..losses import Loss, mse, rates
from ..methods import Method
from ..options import Count, Fraction, Seed, check_fields, checked
from ..schedules import hold_then_cosine
from ..synapses import reset_neurons
from .augment import Augmentation
from .data import Data, batches, epoch_order

# Batches between two checks of the loss: each check waits for the device.
_CHECK_EVERY = 50


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of a training, apart from network, method and data.

    Attributes:
        epochs: passes over the training images.
        batch_size: images in a step; an incomplete last batch of an epoch is left out.
        hold: share of the training at the optimizer's learning rate, before it falls to 0 on a cosine; 1 is a constant
            rate.
        schedule: of the learning rate, in place of `hold`: a function of the steps done and of all steps that returns
            the factor of the optimizer's learning rate, or a scheduler of `torch.optim.lr_scheduler` on that optimizer,
            which is stepped once after every optimizer step.
        seed: of the order of the images.
        loss: of the outputs [T, B, classes] and the labels [B].
        augment: augmentation of images in 0..1, or None.
        bf16: run the network under bfloat16 autocast.

    Raises:
        InputError: a value of another type or outside its range.
    """

    epochs: Count
    batch_size: Count = 128
    hold: Fraction = 0.8
    schedule: Callable[[int, int], float] | LRScheduler | None = None
    seed: Seed = 0
    loss: Loss = mse
    augment: Augmentation | None = None
    bf16: bool = False

    def __post_init__(self) -> None:
        check_fields(self)


@checked
def steps_in_epoch(data: Data, batch_size: Count) -> int:
    """Return the optimizer steps in an epoch; an incomplete last batch is left out.

    Raises:
        InputError: a batch larger than the training set.
    """
    if batch_size > len(data.train):
        raise InputError(
            f"batch size {batch_size} is more than the {len(data.train)} training images: use a smaller one"
        )
    return len(data.train) // batch_size


class Trainer:
    """Trains epoch by epoch; can be stopped and resumed between any two steps.

    `checkpoint.save_checkpoint` writes everything that the rest of a training depends on.

    Args:
        network: takes images [B, C, H, W], returns outputs [T, B, classes] or [B, classes]; on its device.
        optimizer: holds the network's parameters. Its learning rates are those at the start.
        method: attached to that optimizer.
        data: on the network's device, or in host memory.
        recipe: settings of the training.
        forward: called in place of the network in training, such as a compiled form of it.

    Raises:
        InputError: a batch larger than the training set, or a schedule that cannot be used.
    """

    @checked
    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        method: Method,
        data: Data,
        recipe: Recipe,
        *,
        forward: Callable[..., Tensor] | None = None,
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.method = method
        self.data = data
        self.recipe = recipe
        self.forward = forward or network
        self.rates = [float(group["lr"]) for group in optimizer.param_groups]
        self.schedule = recipe.schedule or _HoldThenCosine(recipe.hold)
        _check_schedule(self.schedule, optimizer)
        self.device = next(network.parameters()).device
        self.steps_per_epoch = steps_in_epoch(data, recipe.batch_size)
        self.epoch = 0
        self.batch = 0
        self.losses = torch.zeros(self.steps_per_epoch, dtype=torch.float32, device=self.device)
        self.correct = torch.zeros((), dtype=torch.int64, device=self.device)

    @property
    def steps_done(self) -> int:
        """Number of optimizer steps done."""
        return self.epoch * self.steps_per_epoch + self.batch

    @property
    def total_steps(self) -> int:
        """Number of optimizer steps of the whole training."""
        return self.recipe.epochs * self.steps_per_epoch

    def train_epoch(self, stop: Callable[[], bool] = lambda: False) -> Iterator[int]:
        """Run the rest of the current epoch, and yield the number of steps done after each step.

        Returns early, between two steps, if `stop()` is true; `self.batch` then counts the batches done.

        Raises:
            InputError: the loss, or at the end a weight, is no longer a finite number; the message names the step.
        """
        self.network.train()
        for images, labels in self._batches():
            self._step(images, labels)
            self.batch += 1
            if self.batch % _CHECK_EVERY == 0:
                self._check_losses(self.batch)
            yield self.steps_done
            if stop() and self.batch < self.steps_per_epoch:
                break
        self._check_losses(self.batch)
        self._check_weights()

    def finish_epoch(self) -> dict[str, Any]:
        """Return the figures of a completed epoch, and advance to the next."""
        row = {
            "epoch": self.epoch + 1,
            "step": self.steps_done,
            "train_loss": self.losses.mean().item(),
            "train_accuracy": self.correct.item() / (self.steps_per_epoch * self.recipe.batch_size),
            "density": self.method.connectivity().density,
        }
        self.epoch += 1
        self.batch = 0
        self.losses.zero_()
        self.correct.zero_()
        return row

    @torch.no_grad()
    def evaluate(self) -> float:
        """Return the accuracy on the evaluation images, in [0, 1]; of equal outputs the lowest class counts."""
        self.network.eval()
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        for images, labels in batches(self.data.evaluation, 500, device=self.device, prepare=self.data.prepare):
            correct += self._count_correct(self._run(self.network, images), labels)
        reset_neurons(self.network)
        self.network.train()
        return correct.item() / len(self.data.evaluation)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = epoch_order(len(self.data.train), self.recipe.seed, self.epoch)
        prepare = partial(self.data.prepare, augment=self.recipe.augment)
        size, start = self.recipe.batch_size, self.batch
        return batches(self.data.train, size, device=self.device, order=order, start=start, prepare=prepare)

    def _step(self, images: Tensor, labels: Tensor) -> None:
        """Do one optimizer step, without waiting for the device."""
        self._set_rates()
        output = self._run(self.forward, images)
        loss = self.recipe.loss(output, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.losses[self.batch] = loss.detach()
        try:
            self.optimizer.step()
        except InputError:
            self._check_losses(self.batch + 1)  # where a loss was not finite, that is the cause
            raise
        if isinstance(self.schedule, LRScheduler):
            self.schedule.step()
        self.correct += self._count_correct(output.detach(), labels)

    def _set_rates(self) -> None:
        if isinstance(self.schedule, LRScheduler):
            return
        factor = self.schedule(self.steps_done, self.total_steps)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def _run(self, forward: Callable[..., Tensor], images: Tensor) -> Tensor:
        reset_neurons(self.network)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bf16):
            return forward(images).float()

    @staticmethod
    def _count_correct(output: Tensor, labels: Tensor) -> Tensor:
        return (rates(output).argmax(-1) == labels).sum()

    def _check_losses(self, count: int) -> None:
        """Make sure that the first `count` losses of the epoch are finite."""
        losses = self.losses[:count].tolist()
        bad = next((index for index, loss in enumerate(losses) if not math.isfinite(loss)), None)
        if bad is not None:
            step = self.epoch * self.steps_per_epoch + bad + 1
            raise InputError(
                f"the loss is {losses[bad]} at step {step} of {self.total_steps} (epoch {self.epoch + 1}): "
                "lower the learning rate"
            )

    def _check_weights(self) -> None:
        """Make sure that weights are finite: the last step can spoil them although its loss was finite."""
        bad = [name for name, value in self.network.named_parameters() if not bool(value.isfinite().all())]
        if bad:
            raise InputError(
                f"{', '.join(bad)} is no longer finite after step {self.steps_done} of {self.total_steps} "
                f"(epoch {self.epoch + 1}): lower the learning rate"
            )


@dataclass(frozen=True)
class _HoldThenCosine:
    hold: float

    def __call__(self, steps_done: int, total_steps: int) -> float:
        return hold_then_cosine(steps_done, steps=total_steps, hold=self.hold)


def _check_schedule(schedule: Callable[[int, int], float] | LRScheduler, optimizer: Optimizer) -> None:
    if isinstance(schedule, ReduceLROnPlateau):
        raise InputError("ReduceLROnPlateau waits for a metric that a training does not give it: take another schedule")
    if not isinstance(schedule, LRScheduler):
        return
    if schedule.optimizer is not optimizer:
        raise InputError("the learning-rate schedule is of another optimizer: make it with the one that trains")
    try:
        json.dumps(schedule.state_dict())
    except TypeError as error:
        raise InputError(
            f"{type(schedule).__name__} cannot be saved ({error}): pass a function of steps done and all steps"
        ) from error
