"""Pictures of sparse networks. Only this package imports matplotlib."""

from .figures import plot_run
from .layers import plot_layers
from .maps import plot_connectivity
from .training import plot_training

__all__ = ["plot_connectivity", "plot_layers", "plot_run", "plot_training"]
