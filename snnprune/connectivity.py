"""`Connectivity`: which synapses of a network exist. All parts of this library exchange this type."""

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .errors import InputError, shortened
from .options import Share, check, checked
from .selection import keep_largest
from .shapes import check_shapes, shapes_of
from .storage import read_tensors, write_tensors
from .synapses import Exclude, Geometry, Include, find_synapses, synapses_named
from .text import aligned, html_table


class Difference(NamedTuple):
    """The change between two connectivities: synapses that were pruned and synapses that were regrown."""

    pruned: "Connectivity"
    regrown: "Connectivity"


class Connectivity(Mapping[str, Tensor]):
    """Named boolean tensors, one for each tensor of synapses: true where a synapse exists.

    Immutable: tensors are copied on the way in and on the way out. The words, everywhere in this library:
    `density` is present / prunable synapses, `sparsity` is 1 - density.

    Args:
        masks: parameter name -> boolean tensor of the weight's shape.

    Raises:
        InputError: no tensors, or one that is not boolean.
    """

    def __init__(self, masks: Mapping[str, Tensor]) -> None:
        if not isinstance(masks, Mapping):
            raise InputError(f"a connectivity must be made of named tensors, found {shortened(masks)}")
        if not masks:
            raise InputError("a connectivity needs at least one tensor of synapses, none were given")
        for name, mask in masks.items():
            found = mask.dtype if isinstance(mask, Tensor) else shortened(mask)
            if found != torch.bool:
                raise InputError(f"the connectivity of {name} must be torch.bool, found {found}")
        self._masks = {name: mask.detach().clone() for name, mask in masks.items()}

    @classmethod
    def from_network(cls, network: nn.Module, *, exclude: Exclude = (), include: Include = ()) -> "Connectivity":
        """Return the synapses of a network whose weight is not zero; `exclude`, `include` as in `find_synapses`."""
        synapses = find_synapses(network, exclude=exclude, include=include)
        return cls({name: entry.parameter.detach() != 0 for name, entry in synapses.items()})

    @classmethod
    def dense(cls, network: nn.Module, *, exclude: Exclude = (), include: Include = ()) -> "Connectivity":
        """Return every synapse of a network; `exclude`, `include` as in `find_synapses`."""
        synapses = find_synapses(network, exclude=exclude, include=include)
        return cls({name: torch.ones_like(entry.parameter, dtype=torch.bool) for name, entry in synapses.items()})

    @classmethod
    @checked
    def from_scores(cls, scores: Mapping[str, Tensor], density: Share) -> "Connectivity":
        """Return the synapses with the largest scores of all tensors, exactly round(density * prunable) of them.

        Of equal scores the first are taken, in the order of tensors and indices.

        Args:
            scores: parameter name -> scores of the weight's shape, floating point.
            density: share of synapses to keep, in (0, 1].

        Raises:
            InputError: a density outside (0, 1], no scores, or scores that are not tensors of floating point numbers.
        """
        check_scores(scores, density)
        total = sum(tensor.numel() for tensor in scores.values())
        return cls(keep_largest({name: tensor.detach() for name, tensor in scores.items()}, round(density * total)))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Connectivity":
        """Read a file of `save`.

        Raises:
            InputError: no such file, or one that is damaged or of another kind.
        """
        masks, metadata = read_tensors(path, kind="connectivity")
        order = metadata.get("order")
        if not (isinstance(order, list) and all(isinstance(name, str) for name in order)) or (
            sorted(order) != sorted(masks)
        ):
            raise InputError(f"{path} is damaged: its order must name each of its tensors once; use another copy")
        return cls({name: masks[name] for name in order})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as safetensors, one boolean tensor for each name, with schema and library version.

        Raises:
            InputError: the file cannot be written there.
        """
        write_tensors(path, self._masks, kind="connectivity", metadata={"order": list(self)})

    # --- Mapping

    def __getitem__(self, name: str) -> Tensor:
        return self._masks[name].clone()

    def __iter__(self) -> Iterator[str]:
        return iter(self._masks)

    def __len__(self) -> int:
        return len(self._masks)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Connectivity):
            return NotImplemented
        return shapes_of(self._masks) == shapes_of(other._masks) and all(
            torch.equal(mask.cpu(), other._masks[name].cpu()) for name, mask in self._masks.items()
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Connectivity({self.nonzero:,} of {self.prunable:,} synapses, density {self.density:.4%})"

    # --- Counts

    @property
    def prunable(self) -> int:
        """Number of synapses that could exist."""
        return sum(mask.numel() for mask in self._masks.values())

    @property
    def nonzero(self) -> int:
        """Number of synapses that exist."""
        return sum(int(mask.sum()) for mask in self._masks.values())

    @property
    def density(self) -> float:
        """Present / prunable synapses, in [0, 1]; 1 if there are none to prune."""
        return _share(self.nonzero, self.prunable)

    @property
    def sparsity(self) -> float:
        """1 - density."""
        return 1 - self.density

    def layers(self) -> dict[str, dict[str, Any]]:
        """Return for each tensor its `shape`, `prunable`, `nonzero` and `density`."""
        table = {}
        for name, mask in self._masks.items():
            nonzero = int(mask.sum())
            table[name] = {
                "shape": list(mask.shape),
                "prunable": mask.numel(),
                "nonzero": nonzero,
                "density": _share(nonzero, mask.numel()),
            }
        return table

    def connections(self, geometries: Mapping[str, Geometry]) -> dict[str, tuple[int, int]]:
        """Return for each tensor the number of existing and of possible connections between neurons.

        A convolution's weight serves many pairs of neurons, so this expanded count differs from `nonzero`.

        Args:
            geometries: from `synapses.geometry(network, example)`.

        Raises:
            InputError: a tensor without geometry, or a convolution whose spatial sizes are not known.
        """
        counts = {}
        for name, mask in self._masks.items():
            uses = geometries[name].uses if name in geometries else None
            if uses is None:
                raise InputError(f"the connections of {name} are not known: pass geometry(network, example)")
            expanded = uses.to(mask.device).expand(mask.shape)
            counts[name] = (int(expanded[mask].sum()), int(expanded.sum()))
        return counts

    def table(self, geometries: Mapping[str, Geometry] | None = None) -> str:
        """Return a per-layer table as text, with expanded connections when `geometries` are given."""
        return aligned(self._rows(geometries), left=(0, 1))

    def _repr_html_(self) -> str:
        return html_table(self._rows(), left=(0, 1))

    def _rows(self, geometries: Mapping[str, Geometry] | None = None) -> list[tuple[str, ...]]:
        connections = self.connections(geometries) if geometries is not None else {}
        rows = [("layer", "shape", "synapses", "of", "density", *(("connections", "of") if connections else ()))]
        for name, row in self.layers().items():
            shape = "x".join(map(str, row["shape"]))
            expanded = tuple(f"{count:,}" for count in connections.get(name, ()))
            rows.append(
                (name, shape, f"{row['nonzero']:,}", f"{row['prunable']:,}", f"{row['density']:.3%}", *expanded)
            )
        total = tuple(f"{sum(counts):,}" for counts in zip(*connections.values(), strict=True))
        rows.append(("total", "", f"{self.nonzero:,}", f"{self.prunable:,}", f"{self.density:.3%}", *total))
        return rows

    # --- Comparison

    @checked
    def diff(self, other: "Connectivity") -> Difference:
        """Return the change from this connectivity to `other`.

        Raises:
            InputError: different names or shapes.
        """
        self._check_same(other)
        pairs = {name: (mask, other._masks[name].to(mask.device)) for name, mask in self._masks.items()}
        return Difference(
            pruned=Connectivity({name: old & ~new for name, (old, new) in pairs.items()}),
            regrown=Connectivity({name: new & ~old for name, (old, new) in pairs.items()}),
        )

    @checked
    def jaccard(self, other: "Connectivity") -> float:
        """Return |A and B| / |A or B| over all synapses, in [0, 1]; 1 for two empty connectivities.

        Paganini and Forde, "On Iterative Neural Network Pruning, Reinitialization, and the Similarity of Masks", 2020.
        """
        pruned, regrown = self.diff(other)
        common = self.nonzero - pruned.nonzero
        union = self.nonzero + regrown.nonzero
        return common / union if union else 1.0

    @checked
    def jaccard_excess(self, other: "Connectivity") -> float:
        """Return the Jaccard index minus that of two random connectivities with the same densities in each layer.

        With densities p and q in a layer of n synapses, chance alone gives n p q common synapses, and n (p + q - p q)
        in either.
        """
        self._check_same(other)
        common = union = 0.0
        for mine, theirs in zip(self.layers().values(), other.layers().values(), strict=True):
            p, q, n = mine["density"], theirs["density"], mine["prunable"]
            common += n * p * q
            union += n * (p + q - p * q)
        return self.jaccard(other) - (common / union if union else 1.0)

    # --- Use

    @checked
    def check(self, network: nn.Module) -> None:
        """Make sure that this connectivity belongs to a network.

        Raises:
            InputError: a name that the network lacks, or a shape that differs; the message names both sides.
        """
        weights = {name: entry.parameter for name, entry in synapses_named(network, self).items()}
        if weights.keys() < self.keys():  # the message lists the synapses
            weights |= {name: entry.parameter for name, entry in find_synapses(network).items()}
        kind = type(network).__name__
        check_shapes(shapes_of(self._masks), shapes_of(weights), what="the connectivity", where=kind, partial=True)

    @torch.no_grad()
    @checked
    def apply_(self, network: nn.Module) -> None:
        """Set the weight of every absent synapse of a network to zero, in place.

        Raises:
            InputError: as `check`; the network is unchanged.
        """
        self.check(network)
        parameters = {name: entry.parameter for name, entry in synapses_named(network, self).items()}
        for name, mask in self._masks.items():
            # masked_fill, not a product: 0 * inf would be nan
            parameters[name].masked_fill_(~mask.to(parameters[name].device), 0)

    def to(self, device: torch.device | str) -> "Connectivity":
        """Return the same connectivity on another device; an InputError says that there is none such."""
        try:
            return Connectivity({name: mask.to(device) for name, mask in self._masks.items()})
        except (RuntimeError, TypeError, ValueError, AssertionError) as error:
            raise InputError(f"device must be cpu, cuda or cuda:N, found {shortened(device)}") from error

    def _check_same(self, other: "Connectivity") -> None:
        mine, theirs = shapes_of(self._masks), shapes_of(other._masks)
        check_shapes(mine, theirs, what="this connectivity", where="the other")


def check_scores(scores: Mapping[str, Tensor], density: float) -> None:
    """Make sure that scores and density define a connectivity.

    Raises:
        InputError: a density outside (0, 1], no scores, or scores that are not floating point numbers.
    """
    check("density", density, Share)
    check("scores", scores, Mapping)
    if not scores:
        raise InputError("a connectivity needs the scores of at least one tensor of synapses, none were given")
    for name, tensor in scores.items():
        # The maximum is nan if any score is; that takes a tenth of the time of isnan().any(), and no memory.
        if not isinstance(tensor, Tensor):
            raise InputError(f"the scores of {name} must be a tensor, found {shortened(tensor)}")
        if not tensor.is_floating_point() or (tensor.numel() and bool(tensor.amax().isnan())):
            raise InputError(f"the scores of {name} must be floating point numbers, found {_describe(tensor)}")


def _share(nonzero: int, prunable: int) -> float:
    return nonzero / prunable if prunable else 1.0


def _describe(tensor: Tensor) -> str:
    return f"{tensor.dtype}" + (" with nan" if tensor.is_floating_point() else "")
