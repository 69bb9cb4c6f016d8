"""The two sides of a comparison, and its controls: the one place that names them."""

from typing import Literal, NamedTuple


class Side(NamedTuple):
    """One side.

    Attributes:
        neuron: of its networks, an option of a run.
        words: in a sentence.
        title: of a panel.
    """

    neuron: Literal["lif", "relu"]
    words: str
    title: str


SIDES = {
    "snn": Side("lif", "spiking network", "Spiking network (SNN)"),
    "ann": Side("relu", "ANN twin", "Non-spiking network (ANN)"),
}
# Each trains a connectivity from fresh weights; docs/compare.md says which.
CONTROLS = ("shuffled", "scratch-e", "scratch-b", "transfer")
# Endings of the names of controls in a table: "gmp-shuffled".
CONTROL_ENDINGS = tuple(f"-{control}" for control in CONTROLS)
