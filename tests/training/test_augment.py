"""Augmentation against slow oracles that move one pixel at a time."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snnprune.errors import InputError
from snnprune.training.augment import affine, augmentation, crop_flip, default_augmentation, warp


def all_crops(image: torch.Tensor, padding: int) -> list[torch.Tensor]:
    """Every crop of the padded image, each also mirrored; image [C, H, W]."""
    channels, height, width = image.shape
    padded = torch.zeros(channels, height + 2 * padding, width + 2 * padding)
    padded[:, padding : padding + height, padding : padding + width] = image
    positions = [(top, left) for top in range(2 * padding + 1) for left in range(2 * padding + 1)]
    crops = [padded[:, top : top + height, left : left + width] for top, left in positions]
    return [version for crop in crops for version in (crop, crop.flip(2))]


def moved(image: list[list[float]], angle: float, size: float, right: float, down: float) -> list[list[float]]:
    """Affine transform by a loop over the pixels of the result, each taken from its origin."""
    height, width = len(image), len(image[0])
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    result = [[0.0] * width for _ in range(height)]
    for row in range(height):
        for column in range(width):
            x, y = column - middle_x - right, row - middle_y - down
            source_x = round((math.cos(angle) * x + math.sin(angle) * y) / size + middle_x)
            source_y = round((-math.sin(angle) * x + math.cos(angle) * y) / size + middle_y)
            if 0 <= source_x < width and 0 <= source_y < height:
                result[row][column] = image[source_y][source_x]
    return result


def same_for_all(count: int, **values: float) -> dict[str, torch.Tensor]:
    return {name: torch.full((count,), float(value)) for name, value in values.items()}


@given(seed=st.integers(0, 2**20), padding=st.integers(0, 4), height=st.integers(2, 6), width=st.integers(2, 6))
@settings(max_examples=20, deadline=None)
def test_crop_flip_gives_crops(seed, padding, height, width):
    torch.manual_seed(seed)
    images = torch.rand(4, 2, height, width)
    changed = crop_flip(images, padding=padding)
    assert changed.shape == images.shape
    for before, after in zip(images, changed, strict=True):
        assert any(torch.equal(after, crop) for crop in all_crops(before, padding))


def test_crop_flip_reaches_every_crop():
    torch.manual_seed(0)
    image = torch.arange(1.0, 10.0).view(1, 3, 3)
    changed = crop_flip(image.expand(500, 1, 3, 3), padding=1)
    expected = {tuple(crop.flatten().tolist()) for crop in all_crops(image, 1)}
    assert len(expected) == 18
    assert {tuple(crop.flatten().tolist()) for crop in changed} == expected


def test_randomness_is_torchs():
    images = torch.rand(8, 3, 8, 8)
    for change in (crop_flip, affine):
        torch.manual_seed(1)
        first = change(images)
        assert not torch.equal(change(images), first)
        torch.manual_seed(1)
        assert torch.equal(change(images), first)


@pytest.mark.parametrize(
    ("angle", "size", "right", "down"),
    [(0, 1, 2, -1), (0.4, 1, 0, 0), (-0.51, 0.87, 1, 2), (0.3, 1.1, -2, 0), (2.0, 1.3, 0, 1)],
)
def test_warp_against_the_oracle(angle, size, right, down):
    images = torch.rand(2, 3, 6, 9)
    changed = warp(images, **same_for_all(2, angle=angle, size=size, right=right, down=down))
    expected = [[moved(plane, angle, size, right, down) for plane in image] for image in images.tolist()]
    assert torch.equal(changed, torch.tensor(expected))


def test_warp_by_hand():
    image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    still = {"angle": 0, "size": 1, "right": 0, "down": 0}
    assert torch.equal(warp(image, **same_for_all(1, **still)), image)
    turned = warp(image, **same_for_all(1, **still | {"angle": math.pi / 2}))
    assert turned.tolist() == [[[[3.0, 1.0], [4.0, 2.0]]]]  # clockwise
    shifted = warp(image, **same_for_all(1, **still | {"right": 1}))
    assert shifted.tolist() == [[[[0.0, 1.0], [0.0, 3.0]]]]


def test_affine_stays_within_its_bounds():
    torch.manual_seed(0)
    dot = torch.zeros(400, 1, 29, 29)
    dot[:, :, 13:16, 13:16] = 1.0
    positions = affine(dot, degrees=0, translate=0.2, scale=(1.0, 1.0)).flatten(1).nonzero()[:, 1].view(400, 9)
    rows, columns = positions[:, 4] // 29 - 14, positions[:, 4] % 29 - 14
    assert rows.abs().max() == 6  # round(.2 * 29)
    assert columns.abs().max() == 6
    assert abs(rows.float().mean()) < 1
    assert torch.equal(affine(dot, degrees=0, translate=0, scale=(1.0, 1.0)), dot)


def test_affine_changes_size_and_angle():
    torch.manual_seed(0)
    square = torch.zeros(300, 1, 41, 41)
    square[:, :, 10:31, 10:31] = 1.0
    sizes = affine(square, degrees=0, translate=0, scale=(0.8, 1.2)).sum((1, 2, 3)).sqrt() / 21
    assert 0.75 < sizes.min() < 0.85
    assert 1.15 < sizes.max() < 1.25
    corners = affine(square, degrees=30, translate=0, scale=(1.0, 1.0))[:, 0, 10, 10]
    assert 0 < corners.sum() < 300


def test_augmentations_by_name():
    assert augmentation("none") is None
    assert augmentation("crop-flip") is crop_flip
    assert augmentation("affine") is affine
    with pytest.raises(InputError, match="unknown augmentation 'mixup': known are none, crop-flip, affine"):
        augmentation("mixup")


def test_usual_augmentations():
    assert default_augmentation("cifar10") == default_augmentation("cifar100") == "crop-flip"
    assert default_augmentation("mnist") == default_augmentation("digits") == "none"
