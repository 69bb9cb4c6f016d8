"""Recording of a training: synapses that came and went, and the distribution of the hidden parameter."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..connectivity import Connectivity
from ..errors import InputError
from ..layout import to_rows
from ..report import Footage, image_layer, layer_label
from ..synapses import geometry_named
from ..training import Trainer

_BINS = 640  # of a histogram on each side of 0
_PER_SIZE = 10  # bins in the root mean square of a layer's first values


class Recorder:
    """Recorder of a training, frame by frame.

    Args:
        trainer: of the training, before its first step.
        layer: the one whose connectivity is recorded, a parameter's name with or without ".weight"; None: the first.
        title: of the training.

    Raises:
        InputError: no such layer (the known ones are listed).
    """

    def __init__(self, trainer: Trainer, *, layer: str | None, title: str) -> None:
        self.trainer = trainer
        self.method = trainer.method
        self.title = title
        self.layer = _find(layer, list(self.method.parameters))
        self.geometry = geometry_named(trainer.network, [self.layer])[self.layer]
        self.frames: list[dict[str, Any]] = []
        self.signs: Mapping[str, Tensor] | None = None
        self.quantity = "weight"
        self.widths: dict[str, float] = {}
        self._before: Connectivity | None = None
        self._ever = {name: torch.zeros_like(p, dtype=torch.bool) for name, p in self.method.parameters.items()}
        self._seen = (0, 0, 0)  # epoch, batches, right answers

    @torch.no_grad()
    def step(self) -> None:
        """Note the synapses that exist after a step, to find those that are gone again at the next frame."""
        for name, parameter in self.method.parameters.items():
            self._ever[name] |= parameter != 0

    @torch.no_grad()
    def record(self, *, last: bool = False) -> None:
        """Add a frame of the current state; the last one ends the rewiring."""
        state = dict(self.method.state)
        connectivity = (self.method.finalize() if last else self.method.connectivity()).to("cpu")
        if "hidden" in state and not self.frames:
            self.signs = state.get("sign")
            self.quantity = "hidden" if self.signs is None else "strength"
        zone = getattr(self.method, "dead_zone", None) if "hidden" in state else None
        self.frames.append(
            {
                "steps": self.trainer.steps_done,
                "accuracy": self._accuracy(),
                "counts": [self._count(name, mask, state.get("hidden")) for name, mask in connectivity.items()],
                "zone": math.nan if zone is None else float(zone),
                "fixed": self.quantity != "weight" and "hidden" not in state,
                **self._changes(connectivity),
            }
        )

    def footage(self, final_accuracy: float) -> Footage:
        """Return the recording, with the accuracy at the end."""
        data, masks = self.trainer.data, self._before
        assert masks is not None
        columns = {key: np.array([frame[key] for frame in self.frames]) for key in self.frames[0]}
        return Footage(
            title=self.title,
            layers=tuple(masks),
            prunable=np.array([mask.numel() for mask in masks.values()]),
            steps_per_epoch=self.trainer.steps_per_epoch,
            final_accuracy=final_accuracy,
            evaluated_on=data.evaluated_on,
            layer=self.layer,
            shape=tuple(to_rows(masks[self.layer], self.geometry).shape),
            image=(data.image_shape or ()) if image_layer(masks, data.image_shape) == self.layer else (),
            quantity=self.quantity,
            edges=np.outer([self.widths[name] for name in masks], np.arange(-_BINS, _BINS + 1)),
            **columns,
        )

    def _changes(self, now: Connectivity) -> dict[str, Any]:
        """Return the changes in each layer; in the first frame all existing synapses have survived."""
        before, self._before = self._before or now, now
        pruned, regrown = before.diff(now)
        tried = {name: ever.cpu() & ~(before[name] | now[name]) for name, ever in self._ever.items()}
        for ever in self._ever.values():
            ever.zero_()
        came, went, there, tries = (
            np.array([int(mask.sum()) for mask in part.values()]) for part in (regrown, pruned, now, tried)
        )
        return {
            "survived": there - came,
            "pruned": went,
            "regrown": came,
            "tried": tries,
            "masks": self._packed(now[self.layer]),
            "tries": self._packed(tried[self.layer]),
        }

    def _packed(self, mask: Tensor) -> np.ndarray:
        return np.packbits(to_rows(mask, self.geometry).numpy())

    def _count(self, name: str, mask: Tensor, hidden: Mapping[str, Tensor] | None) -> np.ndarray:
        """Return a histogram of a layer's hidden parameter; where there is none, of the existing weights."""
        weight = self.method.parameters[name].detach()
        values = (weight if hidden is None else hidden[name]).float()
        if self.signs is not None:
            values = values * self.signs[name]
        values = values.cpu() if hidden is not None else values.cpu()[mask]
        values = values[values.isfinite()]  # the trainer reports the others
        if name not in self.widths:
            size = float(values.square().mean().sqrt()) if values.numel() else 0.0
            self.widths[name] = (size or 1.0) / _PER_SIZE
        bins = np.ceil(values.numpy() / self.widths[name])  # exactly 0 is counted below 0: it is dormant
        return np.bincount(np.clip(bins, 1 - _BINS, _BINS).astype(int) + _BINS - 1, minlength=2 * _BINS)

    def _accuracy(self) -> float:
        """Return the accuracy on the training images since the previous frame, if they are of the same epoch."""
        epoch, batches, correct = self._seen
        self._seen = (self.trainer.epoch, self.trainer.batch, int(self.trainer.correct))
        if epoch == self.trainer.epoch:
            correct, batches = self._seen[2] - correct, self._seen[1] - batches
        else:
            batches, correct = self._seen[1:]
        return correct / (batches * self.trainer.recipe.batch_size) if batches else math.nan


def _find(layer: str | None, known: list[str]) -> str:
    """Find a layer by its parameter's name or its own."""
    if layer is None:
        return known[0]
    fitting = [name for name in known if layer in (name, layer_label(name))]
    if not fitting:
        raise InputError(f"unknown layer {layer!r}: known are {', '.join(map(layer_label, known))}")
    return fitting[0]
