"""Random augmentation of training images, a whole batch at once on its device.

Images are float [B, C, H, W] in 0..1, so that zeros are black. Random numbers come from torch's global generator of
the device.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InputError, shortened
from ..options import checked


def crop_flip(images: Tensor, *, padding: int = 4) -> Tensor:
    """Crop each image at random from its padded version, and flip half of them: the standard for CIFAR.

    Equivalent to torchvision's RandomCrop(size, padding) and RandomHorizontalFlip.

    Args:
        images: [B, C, H, W].
        padding: pixels of zeros on every side of an image before it is cropped to H x W.
    """
    batch, channels, height, width = images.shape
    device = images.device
    top = torch.randint(2 * padding + 1, (batch, 1, 1, 1), device=device)
    left = torch.randint(2 * padding + 1, (batch, 1, 1, 1), device=device)
    mirrored = torch.rand((batch, 1, 1, 1), device=device) < 0.5
    image = torch.arange(batch, device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[:, None, None]
    row = torch.arange(height, device=device)[:, None]
    column = torch.arange(width, device=device)
    column = torch.where(mirrored, column.flip(0), column)
    padded = functional.pad(images, (padding, padding, padding, padding))
    return padded[image, channel, top + row, left + column]


def affine(
    images: Tensor, *, degrees: float = 30.0, translate: float = 0.15, scale: tuple[float, float] = (0.85, 1.11)
) -> Tensor:
    """Rotate, shift and scale each image at random; the defaults are those of Grad R on MNIST.

    As torchvision's RandomAffine: shifts by whole pixels, nearest-neighbour interpolation, zeros outside of the image.

    Args:
        images: [B, C, H, W].
        degrees: largest rotation, in either direction.
        translate: largest shift, as a fraction of the width and of the height.
        scale: smallest and largest factor of size.
    """
    height, width = images.shape[2:]
    angle = (2 * _uniform(images) - 1) * math.radians(degrees)
    size = scale[0] + (scale[1] - scale[0]) * _uniform(images)
    right = ((2 * _uniform(images) - 1) * translate * width).round()
    down = ((2 * _uniform(images) - 1) * translate * height).round()
    return warp(images, angle=angle, size=size, right=right, down=down)


def warp(images: Tensor, *, angle: Tensor, size: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Scale and rotate each image about its centre, then shift it.

    Args:
        images: [B, C, H, W].
        angle: [B], clockwise, in radians.
        size: [B], factor; above 1 enlarges.
        right: [B], pixels.
        down: [B], pixels.
    """
    height, width = images.shape[2:]
    cosine, sine = torch.cos(angle) / size, torch.sin(angle) / size
    # affine_grid takes the map from output to input positions, in units of half the width and half the height.
    x, y = right * 2 / width, down * 2 / height
    across, along = sine * (height / width), sine * (width / height)
    from_x = torch.stack([cosine, across, -cosine * x - across * y], dim=1)
    from_y = torch.stack([-along, cosine, along * x - cosine * y], dim=1)
    where = torch.stack([from_x, from_y], dim=1)
    grid = functional.affine_grid(where, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="nearest", padding_mode="zeros", align_corners=False)


def _uniform(images: Tensor) -> Tensor:
    return torch.rand(len(images), device=images.device, dtype=images.dtype)


Augmentation = Callable[[Tensor], Tensor]
_AUGMENTATIONS: dict[str, Augmentation | None] = {"none": None, "crop-flip": crop_flip, "affine": affine}


@checked
def augmentation(name: str) -> Augmentation | None:
    """Return the augmentation of a name, "crop-flip" or "affine" with default options, or None for "none".

    Raises:
        InputError: unknown name; the known ones are listed.
    """
    if name not in _AUGMENTATIONS:
        raise InputError(f"unknown augmentation {shortened(name)}: known are {', '.join(_AUGMENTATIONS)}")
    return _AUGMENTATIONS[name]


@checked
def default_augmentation(dataset: str) -> str:
    """Return the name of the standard augmentation of a data set: "crop-flip" for CIFAR, "none" for any other."""
    return "crop-flip" if dataset.startswith("cifar") else "none"
