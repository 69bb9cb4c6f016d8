"""Result of a placement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ...text import html_table
from ..chip import Chip
from ..wiring import Wired
from .tiles import Tile

Verdict = Literal["fits", "needs-more-chips", "cannot"]
# Verdicts as words, the best first. Sizes alone are compared.
VERDICTS: dict[Verdict, str] = {"fits": "fits by size", "needs-more-chips": "needs more chips", "cannot": "cannot"}


@dataclass(frozen=True, kw_only=True, repr=False)
class Placement:
    """A network on a chip, or the reasons why it cannot be placed.

    Attributes:
        chip: the chip.
        verdict: "fits" on one chip, "needs-more-chips", or "cannot".
        reasons: of the verdict, a sentence each.
        cores: how many cores are used; 0 if it cannot be placed.
        chips: how many chips are needed; 0 if it cannot be placed.
        by_layer: layer -> how many cores hold neurons of it; where each layer has one core, the index of that.
        tiles: which neurons share a core, for chips with `placement = "neurons"`.
        order: layer -> its neurons in the order in which they fill the tiles, where that is not their own.
        shared: tiles, by their index, that are on one core together.
        changes: changes that would help, the cheapest first.
        assumptions: made by the placement.
    """

    chip: Chip
    verdict: Verdict
    reasons: tuple[str, ...]
    cores: int = 0
    chips: int = 0
    by_layer: Mapping[str, int]
    tiles: tuple[Tile, ...] = ()
    order: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    shared: tuple[tuple[int, ...], ...] = ()
    changes: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Placement({self.chip.name}: {VERDICTS[self.verdict]}; {'; '.join(self.reasons)})"

    def _repr_html_(self) -> str:
        rows = [("chip", "verdict", "why", "what would help")]
        rows += [(self.chip.name, VERDICTS[self.verdict], "; ".join(self.reasons), "; ".join(self.changes))]
        return html_table(rows, left=range(4))

    def __str__(self) -> str:
        """Verdict, reasons and what would help."""
        lines = [f"{self.chip.name}: {VERDICTS[self.verdict]}", *(f"- {reason}" for reason in self.reasons)]
        return "\n".join([*lines, *(f"- to change that: {change}" for change in self.changes)])


def cannot(chip: Chip, reasons: list[str], assumptions: tuple[str, ...] = ()) -> Placement:
    """A network that is not placed."""
    return Placement(chip=chip, verdict="cannot", reasons=tuple(reasons), by_layer={}, assumptions=assumptions)


def counted(chip: Chip, cores: int, *, synapses: int = 0, memory: int = 0) -> dict[str, Any]:
    """Verdict, reasons, cores and chips of a `Placement`; memory is in bits, outside of the cores."""
    needs = {"cores": (cores, "cores"), "chip_synapses": (synapses, "synapses"), "chip_memory_bits": (memory, "bits")}
    parts, chips = [], 1
    for name, (value, words) in needs.items():
        limit = chip.limit(name)
        if limit is not None:
            chips = max(chips, -(-value // limit))
            parts.append(f"{value:,} of {limit:,} {words}")
    counts = {"cores": cores, "chips": chips}
    if chips == 1:
        return {"verdict": "fits", "reasons": (f"takes {', '.join(parts)}",), **counts}
    return {"verdict": "needs-more-chips", "reasons": (f"takes {chips} chips: {', '.join(parts)} of one",), **counts}


def assumptions(layers: Sequence[Wired]) -> tuple[str, ...]:
    """What the placement of these layers takes for granted."""
    found = [
        "pooling costs nothing: a neuron sends to the axon of each input that it is pooled into",
        "each projection has axons of its own: a neuron that two of them read sends to both",
    ]
    if virtual := [layer.label for layer in layers if layer.virtual]:
        found.append(f"sums that no neuron reads are units of their own, as neurons are: {', '.join(virtual)}")
    if delays := {source.delay for layer in layers for source in layer.sources if source.delay}:
        steps = "one time step" if delays == {1} else f"{', '.join(map(str, sorted(delays)))} time steps"
        found.append(f"the chip keeps the delays of {steps} of recurrent connections: no file has a limit for them")
    return tuple(found)
