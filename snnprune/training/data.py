"""Data sets by name, whole on the device, and their batches."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .sources import SOURCES, Split, read


@dataclass(frozen=True, eq=False)
class Data:
    """A data set, ready to be cut into batches.

    Attributes:
        name: as given to `load`.
        train: what to train on.
        evaluation: what to measure accuracy on.
        evaluated_on: what `evaluation` is, "test" or "validation".
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
        """Of one input: (C, H, W) for images."""
        return tuple(self.train.images.shape[1:])

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """(C, H, W) if inputs are images, else None."""
        return self.shape if len(self.shape) == 3 else None  # type: ignore[return-value]

    def prepare(self, images: Tensor, *, augment: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Inputs as a network takes them: float32 with mean 0 and standard deviation 1 in every channel.

        Args:
            images: uint8 [B, C, H, W]; or floating point [B, ...], which only `augment` changes.
            augment: applied to float32 images in 0..1, before their mean is taken off, so that what it fills in with
                zeros is black.
        """
        if images.is_floating_point():
            return images if augment is None else augment(images)
        scaled = images.float() / 255
        if augment is not None:
            scaled = augment(scaled)
        return (scaled - self.mean[:, None, None]) / self.std[:, None, None]


def names() -> list[str]:
    """The names that `load` knows."""
    return list(SOURCES)


def load(
    name: str,
    *,
    root: str | Path | None = None,
    download: bool = True,
    validation: int = 0,
    images: int = 0,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> Data:
    """A data set on the device where it will be used.

    "digits" comes with scikit-learn (8x8 pixels; 1,437 training and 360 test images, every class in proportion); the
    others are read, and fetched where they are missing, by torchvision.

    Args:
        name: one of `names()`.
        root: folder of the data sets in torchvision's layout; None: the environment's SNNPRUNE_DATA, else "data".
        download: fetch what is missing.
        validation: hold this many training images out and evaluate on them; the test set is then not even read.
        images: take only the first N training and the first N evaluation images; 0: all. Images that are held
            out are drawn from all training images.
        seed: draws the held-out images. It is not the seed of a run: all runs are to share one split.
        device: on "cuda", data that would take half of the free memory stay in pinned host memory.

    Raises:
        InputError: unknown name, torchvision missing, files missing or damaged, download failed, or validation not
            below the number of training images.
    """
    if name not in SOURCES:
        raise InputError(f"unknown data {name!r}: known are {', '.join(names())}")
    root = Path(root if root is not None else os.environ.get("SNNPRUNE_DATA") or "data").expanduser()
    train = read(name, root, download, train=True)
    if validation:
        train, evaluation = _hold_out(train, validation, seed)
    else:
        evaluation = read(name, root, download, train=False)
    if images:
        train, evaluation = train.first(images), evaluation.first(images)
    train, evaluation = _place((train, evaluation), torch.device(device))
    _, classes, mean, std = SOURCES[name]
    on_device = [torch.tensor(values, dtype=torch.float32, device=device) for values in (mean, std)]
    return Data(name, train, evaluation, "validation" if validation else "test", classes, *on_device)


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """The order in which an epoch visits `count` images: a permutation, int64 [count], on the CPU.

    It depends on the arguments alone, so a resumed run sees the order that it would have seen.

    Raises:
        InputError: seed or epoch is negative.
    """
    if seed < 0 or epoch < 0:
        raise InputError(f"seed {seed}, epoch {epoch}: both must be 0 or more")
    return torch.from_numpy(np.random.default_rng((seed, epoch)).permutation(count))


def batches(
    split: Split,
    batch_size: int,
    *,
    device: str | torch.device = "cpu",
    order: Tensor | None = None,
    start: int = 0,
    prepare: Callable[[Tensor], Tensor] = lambda images: images,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches (images [B, C, H, W], labels [B]) on the device; nothing here waits for the device.

    Args:
        split: what to cut.
        batch_size: B.
        device: where the batches go; where the split lies already, nothing is copied.
        order: for training, int64 [n]: which images, in which order (`epoch_order`, or this process's share of it).
            What does not fill the last batch is left out. None, for evaluation: all images, in their own order.
        start: batches to skip, for a run that goes on in the middle of an epoch.
        prepare: applied to the uint8 images of each batch on the device; usually `Data.prepare`.

    Raises:
        InputError: batch_size is below 1, or `order` does not fill one batch.
    """
    if batch_size < 1:
        raise InputError(f"batch size is {batch_size}: wanted 1 or more")
    if order is not None and len(order) < batch_size:
        raise InputError(f"batch size {batch_size} is more than the {len(order)} training images: take a smaller one")
    return _cut(split, batch_size, torch.device(device), order, start, prepare)


def calibration_batches(
    data: Data, images: int, *, batch_size: int = 128, seed: int = 0
) -> list[tuple[Tensor, Tensor]]:
    """Training images for a criterion to look at, prepared as a network takes them, without augmentation.

    Args:
        data: on the device where the network is, or in host memory.
        images: how many, drawn from the training images; all of them where there are fewer.
        batch_size: images in a batch; the last may have fewer.
        seed: of the drawing. It is not the seed of a run: all runs look at the same images.

    Returns:
        batches (images [B, C, H, W], labels [B]).
    """
    chosen = epoch_order(len(data.train), seed, 0)[:images].to(data.train.images.device)
    split = Split(data.train.images[chosen], data.train.labels[chosen])
    return list(batches(split, batch_size, device=data.mean.device, prepare=data.prepare))


def _cut(
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
        wanted = slice(first, first + batch_size)
        chosen = wanted if rows is None else rows[wanted]
        yield prepare(_move(split.images[chosen], device)), _move(split.labels[chosen], device)


def _move(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to the device without waiting for it; from the host that takes pinned memory."""
    if device.type == "cuda" and not tensor.is_cuda:
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def _place(splits: tuple[Split, Split], device: torch.device) -> tuple[Split, Split]:
    if device.type == "cuda":
        size = sum(split.images.nbytes + split.labels.nbytes for split in splits)
        if size >= torch.cuda.mem_get_info(device)[0] / 2:
            first, second = (Split(split.images.pin_memory(), split.labels.pin_memory()) for split in splits)
            return first, second
    first, second = (Split(split.images.to(device), split.labels.to(device)) for split in splits)
    return first, second


def _hold_out(train: Split, count: int, seed: int) -> tuple[Split, Split]:
    if not 0 < count < len(train):
        raise InputError(f"validation={count}: wanted 1 to {len(train) - 1} of the {len(train)} training images")
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    held, kept = order[:count].sort().values, order[count:].sort().values
    return Split(train.images[kept], train.labels[kept]), Split(train.images[held], train.labels[held])
