"""The known data sets, read as uint8 images and labels and downloaded if they are missing."""

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
    """Images, or other inputs, with their labels.

    Attributes:
        images: uint8 [N, C, H, W], 0 to 255; or floating point [N, ...], as the network takes them.
        labels: int64 [N].
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Split":
        """Return the first `count` images, or all if there are fewer."""
        return Split(self.images[:count], self.labels[:count])


class Source(NamedTuple):
    """Description of a data set.

    Attributes:
        reader: the class of torchvision.datasets that reads it; empty for the digits of scikit-learn.
        classes: number of classes.
        mean: of each channel, over the training images scaled to 0..1; the values used in the literature.
        std: likewise.
    """

    reader: str
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


SOURCES = {
    "digits": Source("", 10, (0.3054,), (0.3760,)),
    "mnist": Source("MNIST", 10, (0.1307,), (0.3081,)),
    "fashion-mnist": Source("FashionMNIST", 10, (0.2860,), (0.3530,)),
    "cifar10": Source("CIFAR10", 10, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": Source("CIFAR100", 100, (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


def read(name: str, root: Path, download: bool, *, train: bool) -> Split:
    """Read the training or the test images of one of `SOURCES`, on the CPU.

    Raises:
        InputError: torchvision missing, files missing or damaged, or download failed.
    """
    reader = SOURCES[name].reader
    if not reader:
        return _read_digits(train)
    datasets = _torchvision_datasets(name)
    try:
        # torchvision unpickles CIFAR's files, but only after comparing the MD5 sum of each with the published one,
        # whether it downloaded them or found them.
        found = getattr(datasets, reader)(root, train=train, download=download)
    except Exception as error:  # damaged files and broken connections raise a dozen types
        if not download:
            raise InputError(
                f"{name} is missing or incomplete in {str(root)!r}: "
                "drop --no-download to download it, or set --data-root to its folder"
            ) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{name} could not be downloaded into {str(root)!r}, or read there ({reason}): "
            "check the connection, or set --data-root to its folder"
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
