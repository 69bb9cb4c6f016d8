"""Recording of a training: the numbers from which its film and its pictures are drawn."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ...errors import InputError
from ...storage import Header, MissingFile, damaged, read_arrays, write_arrays

ABSENT, STAYED, CAME, WENT, TRIED = range(5)

# Attribute -> kind and number of dimensions of its array in a file: text, integers, bytes, floating point, bool.
_KINDS = {
    **dict.fromkeys(("title", "evaluated_on", "layer", "quantity"), ("U", 0)),
    **dict.fromkeys(("layers",), ("U", 1)),
    **dict.fromkeys(("steps_per_epoch",), ("i", 0)),
    **dict.fromkeys(("prunable", "steps", "shape", "image"), ("i", 1)),
    **dict.fromkeys(("survived", "pruned", "regrown", "tried"), ("i", 2)),
    **dict.fromkeys(("counts",), ("i", 3)),
    **dict.fromkeys(("masks", "tries"), ("u", 2)),
    **dict.fromkeys(("final_accuracy",), ("f", 0)),
    **dict.fromkeys(("accuracy", "zone"), ("f", 1)),
    **dict.fromkeys(("edges",), ("f", 2)),
    **dict.fromkeys(("fixed",), ("b", 1)),
}


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
        arrays = {entry.name: np.asarray(getattr(self, entry.name)) for entry in fields(self)}
        arrays["image"] = arrays["image"].astype(np.int64)  # an empty tuple would be floating point
        write_arrays(path, arrays, compress=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Footage":
        """Read a file of `save`.

        Raises:
            InputError: no such file, a damaged one, or no film.
        """
        try:
            arrays = read_arrays(path, _check_headers, what="film")
        except MissingFile as error:
            raise InputError(f"no film at {path}: record one with experiments.rewiring_film") from error
        try:
            film = cls(**{entry.name: _as_type(arrays[entry.name], entry.type) for entry in fields(cls)})
            _check_shapes(film)
            _check_values(film)
        except ValueError as error:
            raise damaged(path, "film", error) from error
        return film


def _as_type(array: np.ndarray, kind: Any) -> Any:
    if kind is np.ndarray:
        return array
    return tuple(array.tolist()) if array.ndim else kind(array)


def _check_headers(headers: Mapping[str, Header]) -> None:
    """Make sure that there are the arrays of a film alone; an empty `image` of version 0.1.0 is floating point."""
    if different := sorted(headers.keys() ^ _KINDS.keys()):
        raise ValueError(f"{different[0]} is {'unknown' if different[0] in headers else 'missing'}")
    for name, (dtype, shape) in headers.items():
        kind, dimensions = _KINDS[name]
        empty = name == "image" and shape == (0,)
        if not (dtype.kind == kind or empty) or not dtype.isnative or len(shape) != dimensions:
            raise ValueError(f"{name} is {dtype} of shape {shape}")
        if kind == "u" and dtype != np.uint8:
            raise ValueError(f"{name} is {dtype}, expected uint8")


def _check_shapes(film: Footage) -> None:
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
    if film.layer not in film.layers or len(set(film.layers)) != layers or not frames or not bins:
        raise ValueError(f"{frames} frames of {film.layer} in a network of {', '.join(film.layers)}")
    if len(film.shape) != 2 or min(film.shape) < 1 or math.prod(film.shape) != film.prunable[film.index]:
        raise ValueError(f"{film.layer} has the shape {film.shape} and {film.prunable[film.index]} synapses")
    if film.image and (len(film.image) != 3 or min(film.image) < 1 or math.prod(film.image) != film.shape[1]):
        raise ValueError(f"an image of {film.image} for {film.shape[1]} presynaptic units")


def _check_values(film: Footage) -> None:
    for name in ("survived", "pruned", "regrown", "tried"):
        if (getattr(film, name) < 0).any() or (getattr(film, name) > film.prunable).any():
            raise ValueError(f"{name} must be from 0 to the number of synapses")
    if (film.survived > film.prunable - film.regrown).any() or (film.counts < 0).any() or film.counts.max() > 2**48:
        raise ValueError("more synapses than there can be")
    if film.steps_per_epoch < 1 or film.steps.min() < 0 or (np.diff(film.steps) <= 0).any():
        raise ValueError("steps must ascend, and an epoch have one or more")
    if not np.isfinite(film.edges).all() or (np.diff(film.edges) <= 0).any():
        raise ValueError("edges must be finite and ascend")
    for name in ("accuracy", "final_accuracy"):
        value = np.asarray(getattr(film, name))
        if not (np.isnan(value) | ((value >= 0) & (value <= 1))).all():
            raise ValueError(f"{name} must be in [0, 1], or nan")
    if not (np.isnan(film.zone) | ((film.zone >= 0) & (film.zone < math.inf))).all():
        raise ValueError("zone must be 0 or more, or nan")
    for name, known in {"evaluated_on": ("test", "validation"), "quantity": ("strength", "hidden", "weight")}.items():
        if getattr(film, name) not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, found {getattr(film, name)!r}")
