"""Data sets made from the user's own tensors or datasets."""

from collections.abc import Sized
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import InputError
from ..options import Count, check
from .data import Data, device_of
from .sources import Split

# (inputs [N, ...], labels [N]), or a dataset whose items are (input, label).
Pairs = tuple[Tensor, Tensor] | Dataset


def own_data(
    train: Pairs,
    evaluation: Pairs,
    *,
    classes: Count | None = None,
    name: str = "own",
    device: str | torch.device = "cpu",
) -> Data:
    """Make a data set of inputs that are ready for the network, held in memory on the device.

    Args:
        train: (inputs [N, ...] floating point, labels [N] integers), or a dataset of (tensor, int), all tensors of
            one shape. uint8 images [N, C, H, W] are scaled to 0..1.
        evaluation: likewise, for measuring accuracy.
        classes: number of classes; None: one more than the largest label.
        name: for run folder and messages.
        device: of the inputs and labels.

    Raises:
        InputError: no inputs, inputs of several shapes or another type, inputs and labels that differ in number, or
            labels that are not whole numbers from 0 to classes - 1.
    """
    name = check("name", name, str)
    classes, device = check("classes", classes, Count | None), device_of(device)
    splits = [_split(pairs, what) for pairs, what in ((train, "training"), (evaluation, "evaluation"))]
    if splits[0].images.shape[1:] != splits[1].images.shape[1:]:
        shapes = " and ".join(str(tuple(split.images.shape[1:])) for split in splits)
        raise InputError(f"training and evaluation inputs must have the same shape, found {shapes}")
    highest = 1 + max(int(split.labels.max()) for split in splits)
    count = highest if classes is None else classes
    if highest > count:
        raise InputError(f"labels must be from 0 to {count - 1}, for {count} classes: found {highest - 1}")
    fit, measure = (Split(split.images.to(device), split.labels.to(device)) for split in splits)
    channels = splits[0].images.shape[1] if splits[0].images.dim() > 1 else 1
    neutral = (fill(channels, dtype=torch.float32, device=device) for fill in (torch.zeros, torch.ones))
    return Data(name, fit, measure, "test", count, *neutral)


def _split(pairs: Any, what: str) -> Split:
    inputs, labels = _stacked(pairs, what)
    if len(inputs) == 0 or len(inputs) != len(labels):
        raise InputError(f"{what} data must have a label for each input: found {len(inputs)} and {len(labels)}")
    if not (inputs.is_floating_point() or (inputs.dtype == torch.uint8 and inputs.dim() == 4)):
        raise InputError(
            f"{what} inputs must be floating point, or uint8 images [N, C, H, W]: found {inputs.dtype} "
            f"{list(inputs.shape)}"
        )
    if labels.dim() != 1 or labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InputError(f"{what} labels must be whole numbers [N]: found {labels.dtype} {list(labels.shape)}")
    if int(labels.min()) < 0:
        raise InputError(f"{what} labels must be 0 or more: found {int(labels.min())}")
    return Split(inputs.detach(), labels.detach().long())


def _stacked(pairs: Any, what: str) -> tuple[Tensor, Tensor]:
    """Return inputs and labels as tensors."""
    if isinstance(pairs, tuple | list) and len(pairs) == 2 and all(isinstance(part, Tensor) for part in pairs):
        return pairs[0], pairs[1]
    if not (hasattr(pairs, "__getitem__") and hasattr(pairs, "__len__")):
        raise InputError(f"{what} data must be (inputs, labels) or a dataset, found {type(pairs).__name__}")
    try:
        items = [pairs[index] for index in range(len(cast(Sized, pairs)))]
        labels = [check(f"a {what} label", item[1], int) for item in items]
        return torch.stack([item[0] for item in items]), torch.tensor(labels, device="cpu")
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError, LookupError) as error:
        reason, _, _ = str(error).partition("\n")
        raise InputError(f"{what} data must have items (tensor, label), all of one shape: {reason}") from error
