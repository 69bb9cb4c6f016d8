"""Training: the loop, data sets by name, augmentation, checkpoints, run folders."""

from ..compiling import forward_of
from ..losses import find_loss, rates
from .augment import augmentation, default_augmentation
from .checkpoint import load_checkpoint, load_network, save_checkpoint
from .data import Data, Split, calibration_batches, load
from .folder import RunFolder, environment
from .own_data import own_data
from .trainer import Recipe, Trainer, steps_in_epoch

__all__ = [
    "Data",
    "Recipe",
    "RunFolder",
    "Split",
    "Trainer",
    "augmentation",
    "calibration_batches",
    "default_augmentation",
    "environment",
    "find_loss",
    "forward_of",
    "load",
    "load_checkpoint",
    "load_network",
    "own_data",
    "rates",
    "save_checkpoint",
    "steps_in_epoch",
]
