"""The graph of a network: what it computes, call by call, on which axes, from which population to which."""

from .graph import Graph, Population, Projection
from .picture import save_picture, to_svg
from .record import record
from .sizes import geometry

__all__ = ["Graph", "Population", "Projection", "geometry", "record", "save_picture", "to_svg"]
