"""Pictures of sparse networks. Only this package imports matplotlib."""

from .comparison import plot_comparison
from .figures import image_layer, plot_run
from .film import plot_film, plot_strip
from .footage import Footage
from .hidden import plot_hidden
from .kept import plot_kept
from .layers import plot_layers
from .maps import plot_connectivity
from .overlap import plot_similarity, similarity
from .style import layer_label, save_figure
from .training import plot_training
from .turnover import plot_turnover

__all__ = [
    "Footage",
    "image_layer",
    "layer_label",
    "plot_comparison",
    "plot_connectivity",
    "plot_film",
    "plot_hidden",
    "plot_kept",
    "plot_layers",
    "plot_run",
    "plot_similarity",
    "plot_strip",
    "plot_training",
    "plot_turnover",
    "save_figure",
    "similarity",
]
