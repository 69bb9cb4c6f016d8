"""What was recorded of a training: the numbers that its film and its pictures are drawn from."""

import math
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...storage import write_atomically

ABSENT, STAYED, CAME, WENT, TRIED = range(5)


@dataclass(frozen=True, eq=False, kw_only=True)
class Footage:
    """A training in F frames, of a network with L layers. Changes are those since the frame before.

    Attributes:
        title: what is trained, in a few words.
        layers: names of the layers, L.
        prunable: synapses that a layer could have, int64 [L].
        steps: optimizer steps done, int64 [F].
        steps_per_epoch: to count in epochs.
        accuracy: on the training images since the frame before, float64 [F]; nan where it is not known.
        final_accuracy: of the network at the end, on `evaluated_on`; nan where it was not measured.
        evaluated_on: "test" or "validation".
        survived: synapses that were there before and still are, int64 [F, L]; in the first frame all that exist.
        pruned: synapses that went, int64 [F, L].
        regrown: synapses that came, int64 [F, L].
        tried: synapses that came and went again between the two frames, int64 [F, L].
        layer: the name of the layer whose connectivity is kept.
        shape: (postsynaptic, presynaptic units) of that layer; for a convolution, kernel entries on the second axis.
        image: (channels, height, width) where its presynaptic units are the pixels of the input, else empty.
        masks: its connectivity, a bit for each synapse, uint8 [F, ...].
        tries: likewise, which of its synapses came and went again.
        quantity: what `counts` counts: "strength", alive above 0; "hidden", alive outside of `zone` where there is one;
            or "weight", of the existing synapses.
        edges: of the bins, float64 [L, B + 1]; what lies outside is counted in the outermost ones.
        counts: synapses in each bin, int64 [F, L, B].
        zone: half the width of the zone around 0 in which synapses are dormant, float64 [F]; nan where there is none.
        fixed: bool [F], whether the method has given its hidden parameter up, so that weights are counted instead.
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
        """Which of the layers is the one whose connectivity is kept."""
        return self.layers.index(self.layer)

    @property
    def epochs(self) -> np.ndarray:
        """Epochs done, float64 [F]."""
        return self.steps / self.steps_per_epoch

    @property
    def present(self) -> np.ndarray:
        """Synapses that exist, int64 [F, L]."""
        return self.survived + self.regrown

    def density(self, frame: int) -> float:
        """Of the whole network."""
        return float(self.present[frame].sum() / self.prunable.sum())

    def mask(self, frame: int) -> np.ndarray:
        """The connectivity of the kept layer, bool [postsynaptic, presynaptic]."""
        return self._unpacked(self.masks[frame])

    def changes(self, frame: int) -> np.ndarray:
        """ABSENT, STAYED, CAME, WENT or TRIED for each synapse of the kept layer, [postsynaptic, presynaptic]."""
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
        arrays: dict[str, Any] = {entry.name: np.asarray(getattr(self, entry.name)) for entry in fields(self)}

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez_compressed(file, **arrays)

        write_atomically(path, write)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Footage":
        """Read a file that `save` wrote.

        Raises:
            InputError: no such file, damaged, or no film.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"no film at {path}")
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                film = cls(**{entry.name: _plain(arrays[entry.name], entry.type) for entry in fields(cls)})
            _check(film)
        except Exception as error:  # zipfile and numpy raise a dozen kinds on damaged bytes
            raise InputError(f"{path} is no film of snnprune, or it is damaged ({error}): record it again") from error
        return film


def _plain(array: np.ndarray, kind: Any) -> Any:
    """An array as the attribute's type wants it."""
    if kind is np.ndarray:
        return array
    return tuple(array.tolist()) if array.ndim else kind(array)


def _check(film: Footage) -> None:
    frames, layers, bins = film.counts.shape
    wanted = {
        **dict.fromkeys(("steps", "accuracy", "zone", "fixed"), (frames,)),
        **dict.fromkeys(("survived", "pruned", "regrown", "tried"), (frames, layers)),
        "prunable": (layers,),
        "edges": (layers, bins + 1),
        **dict.fromkeys(("masks", "tries"), (frames, -(-math.prod(film.shape) // 8))),
    }
    for name, shape in wanted.items():
        if getattr(film, name).shape != shape:
            raise ValueError(f"{name} has shape {getattr(film, name).shape}, {shape} is wanted")
    if film.layer not in film.layers or len(film.layers) != layers or not frames:
        raise ValueError(f"{frames} frames of {film.layer} in a network of {', '.join(film.layers)}")
