"""Data sets by name, kept whole on the device, and their batches."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, shortened
from ..options import Converted, Count, CountOrZero, Seed, checked
from .sources import SOURCES, Split, read


@dataclass(frozen=True, eq=False)
class Data:
    """A data set with its training and evaluation images.

    Attributes:
        name: as given to `load`.
        train: training images and labels.
        evaluation: images and labels on which accuracy is measured.
        evaluated_on: the origin of `evaluation`, "test" or "validation".
        classes: number of classes.
        mean: float32 [C], of the training images scaled to 0..1, on the device that computes.
        std: float32 [C], likewise.
    """

    name: str
    train: Split
    evaluation: Split
    evaluated_on: str
    classes: int
    mean: Tensor
    std: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input: (C, H, W) for images."""
        return tuple(self.train.images.shape[1:])

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """(C, H, W) if inputs are images, else None."""
        return self.shape if len(self.shape) == 3 else None  # type: ignore[return-value]

    def prepare(self, images: Tensor, *, augment: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Return inputs as a network takes them: float32 with mean 0 and standard deviation 1 in every channel.

        Args:
            images: uint8 [B, C, H, W]; or floating point [B, ...], which only `augment` changes.
            augment: applied to float32 images in 0..1, before normalisation, so that its zeros are black.
        """
        if images.is_floating_point():
            return images if augment is None else augment(images)
        scaled = images.float() / 255
        if augment is not None:
            scaled = augment(scaled)
        return (scaled - self.mean[:, None, None]) / self.std[:, None, None]


def device_of(device: str | torch.device) -> torch.device:
    """Return a device by name.

    Raises:
        InputError: there is no such device.
    """
    try:
        found = torch.device(device) if isinstance(device, str | torch.device) else None
    except RuntimeError:
        found = None
    if found is None or found.type not in ("cpu", "cuda"):
        raise InputError(f"device must be cpu, cuda or cuda:N, found {shortened(device)}")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device must be there, {found} is not: this machine has {torch.cuda.device_count()} of CUDA")
    return found


Device = Annotated[str | torch.device, Converted(device_of)]


def names() -> list[str]:
    """Return the names that `load` knows."""
    return list(SOURCES)


@checked
def load(
    name: str,
    *,
    root: str | Path | None = None,
    download: bool = True,
    validation: int = 0,
    images: CountOrZero = 0,
    seed: Seed = 0,
    device: Device = "cpu",
) -> Data:
    """Load a data set onto a device.

    "digits" comes with scikit-learn (8x8 pixels; 1,437 training and 360 test images, stratified by class); torchvision
    reads the others, and downloads those that are missing.

    Args:
        name: one of `names()`.
        root: folder of the data sets in torchvision's layout; None: the environment variable SNNPRUNE_DATA, else
            "data".
        download: download missing data sets.
        validation: number of training images to hold out and evaluate on; the test set is then not read at all.
        images: use only the first N training and the first N evaluation images; 0: all. Held-out images are drawn from
            all training images.
        seed: of the choice of held-out images. Not the seed of a run: all runs should share one split.
        device: on "cuda", data that would take half of the free memory or more stay in pinned host memory.

    Raises:
        InputError: unknown name, torchvision missing, files missing or damaged, download failed, or validation not
            below the number of training images.
    """
    if name not in SOURCES:
        raise InputError(f"unknown data {shortened(name)}: known are {', '.join(names())}")
    root = Path(root if root is not None else os.environ.get("SNNPRUNE_DATA") or "data").expanduser()
    train = read(name, root, download, train=True)
    if validation:
        train, evaluation = _hold_out(train, validation, seed)
    else:
        evaluation = read(name, root, download, train=False)
    if images:
        train, evaluation = train.first(images), evaluation.first(images)
    train, evaluation = _to_device((train, evaluation), torch.device(device))
    _, classes, mean, std = SOURCES[name]
    on_device = [torch.tensor(values, dtype=torch.float32, device=device) for values in (mean, std)]
    return Data(name, train, evaluation, "validation" if validation else "test", classes, *on_device)


@checked
def epoch_order(count: CountOrZero, seed: Seed, epoch: CountOrZero) -> Tensor:
    """Return the order in which an epoch visits `count` images: a permutation, int64 [count], on the CPU.

    It depends on the arguments alone, so that a resumed run visits the images in the same order.

    Raises:
        InputError: a negative number, or one above 2^63 - 1.
    """
    return torch.from_numpy(np.random.default_rng((seed, epoch)).permutation(count))


@checked
def batches(
    split: Split,
    batch_size: Count,
    *,
    device: Device = "cpu",
    order: Tensor | None = None,
    start: CountOrZero = 0,
    prepare: Callable[[Tensor], Tensor] = lambda images: images,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Iterate over batches (images [B, C, H, W], labels [B]) on a device, without waiting for it.

    Args:
        split: images and labels.
        batch_size: B.
        device: of the batches; nothing is copied if the split is there already.
        order: for training, int64 [n]: indices of images (`epoch_order`, or this process's share of it); an incomplete
            last batch is left out. None, for evaluation: all images, in their own order.
        start: batches to skip, for a run that is resumed in the middle of an epoch.
        prepare: applied to the uint8 images of each batch on the device; usually `Data.prepare`.

    Raises:
        InputError: batch_size is below 1, or `order` does not fill one batch.
    """
    if order is not None and len(order) < batch_size:
        raise InputError(f"batch size {batch_size} is more than the {len(order)} training images: use a smaller one")
    return _iterate(split, batch_size, torch.device(device), order, start, prepare)


@checked
def calibration_batches(
    data: Data, images: Count, *, batch_size: Count = 128, seed: Seed = 0
) -> list[tuple[Tensor, Tensor]]:
    """Return prepared training images for a criterion, without augmentation.

    Args:
        data: on the network's device, or in host memory.
        images: number of images drawn from the training images; all of them if there are fewer.
        batch_size: images in a batch; the last may have fewer.
        seed: of the choice of images. Not the seed of a run: all runs should use the same images.

    Returns:
        batches (images [B, C, H, W], labels [B]).
    """
    chosen = epoch_order(len(data.train), seed, 0)[:images].to(data.train.images.device)
    split = Split(data.train.images[chosen], data.train.labels[chosen])
    return list(batches(split, batch_size, device=data.mean.device, prepare=data.prepare))


def _iterate(
    split: Split,
    batch_size: int,
    device: torch.device,
    order: Tensor | None,
    start: int,
    prepare: Callable[[Tensor], Tensor],
) -> Iterator[tuple[Tensor, Tensor]]:
    end = len(split) if order is None else len(order) // batch_size * batch_size
    rows = None if order is None else _move(order, split.images.device)
    for first in range(start * batch_size, end, batch_size):
        part = slice(first, first + batch_size)
        chosen = part if rows is None else rows[part]
        yield prepare(_move(split.images[chosen], device)), _move(split.labels[chosen], device)


def _move(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to the device without waiting for it, which for a GPU requires pinned host memory."""
    if device.type == "cuda" and not tensor.is_cuda:
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def _to_device(splits: tuple[Split, Split], device: torch.device) -> tuple[Split, Split]:
    if device.type == "cuda":
        size = sum(split.images.nbytes + split.labels.nbytes for split in splits)
        if size >= torch.cuda.mem_get_info(device)[0] / 2:
            first, second = (Split(split.images.pin_memory(), split.labels.pin_memory()) for split in splits)
            return first, second
    first, second = (Split(split.images.to(device), split.labels.to(device)) for split in splits)
    return first, second


def _hold_out(train: Split, count: int, seed: int) -> tuple[Split, Split]:
    if not 0 < count < len(train):
        raise InputError(f"validation must be 1 to {len(train) - 1}, of {len(train)} training images; found {count}")
    order = torch.randperm(len(train), generator=torch.Generator("cpu").manual_seed(seed), device="cpu")
    held, kept = order[:count].sort().values, order[count:].sort().values
    return Split(train.images[kept], train.labels[kept]), Split(train.images[held], train.labels[held])
