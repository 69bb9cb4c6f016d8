"""Recording of a training: the numbers from which its film and its pictures are drawn."""

import math
import os
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from ...errors import InputError
from .arrays import read_arrays, write_arrays

ABSENT, STAYED, CAME, WENT, TRIED = range(5)


@dataclass(frozen=True, eq=False, kw_only=True)
class Footage:
    """A training in F frames, of a network with L layers. Changes are those since the previous frame.

    Attributes:
        title: of the training, in a few words.
        layers: names of the layers, L.
        prunable: number of possible synapses of each layer, int64 [L].
        steps: optimizer steps done, int64 [F].
        steps_per_epoch: to count in epochs.
        accuracy: on the training images since the previous frame, float64 [F]; nan where unknown.
        final_accuracy: of the network at the end, on `evaluated_on`; nan where it was not measured.
        evaluated_on: "test" or "validation".
        survived: synapses that existed before and still do, int64 [F, L]; in the first frame all existing ones.
        pruned: synapses that went, int64 [F, L].
        regrown: synapses that came, int64 [F, L].
        tried: synapses that came and went again between two frames, int64 [F, L].
        layer: name of the layer whose connectivity is recorded.
        shape: (postsynaptic, presynaptic units) of that layer; for a convolution, kernel entries on the second axis.
        image: (channels, height, width) where its presynaptic units are the pixels of the input, else empty.
        masks: its connectivity, a bit for each synapse, uint8 [F, ...].
        tries: likewise, its synapses that came and went again.
        quantity: counted in `counts`: "strength", alive above 0; "hidden", alive outside of `zone` where there is one;
            or "weight", of the existing synapses.
        edges: of the bins, float64 [L, B + 1]; values outside are counted in the outermost bins.
        counts: synapses in each bin, int64 [F, L, B].
        zone: half the width of the zone around 0 in which synapses are dormant, float64 [F]; nan where there is none.
        fixed: bool [F], whether the method has discarded its hidden parameter, so that weights are counted instead.
    """

    title: str
    layers: tuple[str, ...]
    prunable: np.ndarray
    steps: np.ndarray
    steps_per_epoch: int
    accuracy: np.ndarray
    final_accuracy: float
    evaluated_on: str
    survived: np.ndarray
    pruned: np.ndarray
    regrown: np.ndarray
    tried: np.ndarray
    layer: str
    shape: tuple[int, ...]
    image: tuple[int, ...]
    masks: np.ndarray
    tries: np.ndarray
    quantity: str
    edges: np.ndarray
    counts: np.ndarray
    zone: np.ndarray
    fixed: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def index(self) -> int:
        """Index of the recorded layer among `layers`."""
        return self.layers.index(self.layer)

    @property
    def epochs(self) -> np.ndarray:
        """Epochs done, float64 [F]."""
        return self.steps / self.steps_per_epoch

    @property
    def present(self) -> np.ndarray:
        """Number of existing synapses, int64 [F, L]."""
        return self.survived + self.regrown

    def density(self, frame: int) -> float:
        """Density of the whole network."""
        return float(self.present[frame].sum() / self.prunable.sum())

    def mask(self, frame: int) -> np.ndarray:
        """Connectivity of the recorded layer, bool [postsynaptic, presynaptic]."""
        return self._unpacked(self.masks[frame])

    def changes(self, frame: int) -> np.ndarray:
        """ABSENT, STAYED, CAME, WENT or TRIED for each synapse of the recorded layer, [postsynaptic, presynaptic]."""
        now = self.mask(frame)
        before = self.mask(frame - 1) if frame else now
        kinds = np.array([[ABSENT, CAME], [WENT, STAYED]])[before.astype(int), now.astype(int)]
        return np.where(self._unpacked(self.tries[frame]), TRIED, kinds)

    def _unpacked(self, bits: np.ndarray) -> np.ndarray:
        return np.unpackbits(bits, count=math.prod(self.shape)).reshape(self.shape).astype(bool)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as `.npz`, an array for each attribute, atomically; numpy alone reads it, without pickle.

        Raises:
            InputError: the file cannot be written there.
        """
        write_arrays(path, {entry.name: getattr(self, entry.name) for entry in fields(self)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Footage":
        """Read a file of `save`.

        Raises:
            InputError: no such file, a damaged one, or no film.
        """
        if not Path(path).is_file():
            raise InputError(f"no film at {path}: record one with experiments.rewiring_film")
        try:
            film = cls(**read_arrays(path, {entry.name: entry.type for entry in fields(cls)}))
            _check(film)
        except Exception as error:  # zipfile and numpy raise a dozen kinds on damaged bytes
            raise InputError(f"{path} is no film of snnprune, or it is damaged ({error}): record it again") from error
        return film


def _check(film: Footage) -> None:
    frames, layers, bins = film.counts.shape
    expected = {
        **dict.fromkeys(("steps", "accuracy", "zone", "fixed"), (frames,)),
        **dict.fromkeys(("survived", "pruned", "regrown", "tried"), (frames, layers)),
        "prunable": (layers,),
        "edges": (layers, bins + 1),
        **dict.fromkeys(("masks", "tries"), (frames, -(-math.prod(film.shape) // 8))),
    }
    for name, shape in expected.items():
        if getattr(film, name).shape != shape:
            raise ValueError(f"{name} has shape {getattr(film, name).shape}, expected {shape}")
    if film.layer not in film.layers or len(film.layers) != layers or not frames:
        raise ValueError(f"{frames} frames of {film.layer} in a network of {', '.join(film.layers)}")
