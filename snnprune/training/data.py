"""Data sets by name, whole on the device, and their batches."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels.

    Attributes:
        images: uint8 [N, C, H, W], 0 to 255.
        labels: int64 [N].
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


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
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def prepare(self, images: Tensor, *, augment: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Images as a network wants them: float32 with mean 0 and standard deviation 1 in every channel.

        Args:
            images: uint8 [B, C, H, W].
            augment: applied to float32 images in 0..1, before their mean is taken off, so that what it fills in with
                zeros is black.
        """
        scaled = images.float() / 255
        if augment is not None:
            scaled = augment(scaled)
        return (scaled - self.mean[:, None, None]) / self.std[:, None, None]


class _Source(NamedTuple):
    reader: str  # torchvision's class; none for the digits
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


_SOURCES = {
    "digits": _Source("", 10, (0.3054,), (0.3760,)),
    "mnist": _Source("MNIST", 10, (0.1307,), (0.3081,)),
    "fashion-mnist": _Source("FashionMNIST", 10, (0.2860,), (0.3530,)),
    "cifar10": _Source("CIFAR10", 10, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": _Source("CIFAR100", 100, (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


def names() -> list[str]:
    """The names that `load` knows."""
    return list(_SOURCES)


def load(
    name: str,
    *,
    root: str | Path | None = None,
    download: bool = True,
    validation: int = 0,
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
        seed: draws the held-out images. It is not the seed of a run: all runs are to share one split.
        device: on "cuda", data that would take half of the free memory stay in pinned host memory.

    Raises:
        InputError: unknown name, torchvision missing, files missing or damaged, download failed, or validation not
            below the number of training images.
    """
    if name not in _SOURCES:
        raise InputError(f"unknown data {name!r}: known are {', '.join(names())}")
    root = Path(root if root is not None else os.environ.get("SNNPRUNE_DATA") or "data").expanduser()
    train = _read(name, root, download, train=True)
    if validation:
        train, evaluation = _hold_out(train, validation, seed)
    else:
        evaluation = _read(name, root, download, train=False)
    train, evaluation = _place((train, evaluation), torch.device(device))
    _, classes, mean, std = _SOURCES[name]
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


def _read(name: str, root: Path, download: bool, *, train: bool) -> Split:
    reader = _SOURCES[name].reader
    if not reader:
        return _read_digits(train)
    datasets = _torchvision_datasets(name)
    try:
        # torchvision unpickles CIFAR's files, but only after it compared the MD5 sum of every one of them with the
        # published sum, whether it fetched them or found them.
        found = getattr(datasets, reader)(root, train=train, download=download)
    except Exception as error:  # damaged files and broken connections raise a dozen types
        if not download:
            raise InputError(
                f"{name} is not in {str(root)!r}, or not whole: "
                "drop --no-download to fetch it, or set --data-root to the folder that has it"
            ) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{name} could not be fetched into {str(root)!r}, or read there ({reason}): "
            "check the connection, or set --data-root to a folder that has it"
        ) from error
    images = torch.as_tensor(found.data)
    images = images.unsqueeze(1) if images.dim() == 3 else images.permute(0, 3, 1, 2).contiguous()
    return Split(images, torch.as_tensor(found.targets, dtype=torch.int64))


def _torchvision_datasets(name: str) -> ModuleType:
    try:
        from torchvision import datasets
    except ImportError as error:
        raise InputError(f"{name} needs torchvision, which is not installed: pip install snnprune[vision]") from error
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"{name} needs torchvision, which does not fit torch {torch.__version__} here ({error}): "
            "install the torchvision that was built for it"
        ) from error
    return datasets


def _read_digits(train: bool) -> Split:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    parts = train_test_split(np.arange(len(labels)), test_size=360, stratify=labels, random_state=0)
    rows = np.sort(parts[0] if train else parts[1])
    images = np.rint(pixels[rows] * (255 / 16)).astype(np.uint8)  # the pixels are counts, 0 to 16
    return Split(torch.from_numpy(images).view(-1, 1, 8, 8), torch.from_numpy(labels[rows].astype(np.int64)))
