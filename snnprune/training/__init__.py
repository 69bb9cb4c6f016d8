"""Training: the loop, data sets by name, augmentation, checkpoints, run folders."""

from ..compiling import forward_of
from ..losses import find_loss, rates
from .augment import augmentation, default_augmentation
from .checkpoint import check_config, load_checkpoint, load_network, save_checkpoint
from .data import Data, Split, calibration_batches, load
from .environment import environment
from .folder import RunFolder, check_links
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
    "check_config",
    "check_links",
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
