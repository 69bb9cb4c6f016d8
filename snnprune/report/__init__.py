"""Pictures of sparse networks. Only this package imports matplotlib."""

from .comparison import plot_comparison
from .figures import plot_run
from .kept import plot_kept
from .layers import plot_layers
from .maps import plot_connectivity
from .overlap import plot_similarity, similarity
from .style import save_figure
from .training import plot_training

__all__ = [
    "plot_comparison",
    "plot_connectivity",
    "plot_kept",
    "plot_layers",
    "plot_run",
    "plot_similarity",
    "plot_training",
    "save_figure",
    "similarity",
]
