"""Pictures of sparse networks, and the page of a report. Only this package imports matplotlib."""

from .comparison.comparison import plot_comparison
from .comparison.kept import plot_kept
from .comparison.overlap import plot_similarity
from .comparison.similarity import similarity
from .film.film import plot_film, plot_strip
from .film.footage import Footage
from .film.hidden import plot_hidden
from .film.turnover import plot_turnover
from .page import save_page
from .run.fans import plot_fans
from .run.figures import image_layer, plot_run
from .run.layers import plot_layers
from .run.maps import plot_connectivity
from .run.pictures import report_pictures
from .run.training import plot_training
from .style import layer_label, save_figure

__all__ = [
    "Footage",
    "image_layer",
    "layer_label",
    "plot_comparison",
    "plot_connectivity",
    "plot_fans",
    "plot_film",
    "plot_hidden",
    "plot_kept",
    "plot_layers",
    "plot_run",
    "plot_similarity",
    "plot_strip",
    "plot_training",
    "plot_turnover",
    "report_pictures",
    "save_figure",
    "save_page",
    "similarity",
]
