"""Which parameters of a module are weights of synapses."""

import sys
from functools import lru_cache

from torch import nn
from torch.nn.modules.conv import _ConvNd

_LAYERS = (nn.Linear, _ConvNd)
# For messages.
KNOWN = "the weights of Linear, Bilinear, convolution, attention and recurrent layers, and what include= names"


def weight_names(module: nn.Module) -> tuple[str, ...]:
    """Return the names of the parameters of a module, without its parts, that are weights of synapses.

    A weight that was replaced by a function of other tensors (parametrized, pruned by torch.nn.utils) is named, too.
    """
    kind = type(module)
    if not _holds_weights(kind):
        return ()
    if isinstance(module, nn.MultiheadAttention):  # `out_proj` is a Linear layer
        joined = module._qkv_same_embed_dim
        return ("in_proj_weight",) if joined else ("q_proj_weight", "k_proj_weight", "v_proj_weight")
    if isinstance(module, nn.RNNBase):
        return tuple(name for name in module._flat_weights_names if name.startswith("weight_"))
    return ("weight_ih", "weight_hh") if issubclass(kind, nn.RNNCellBase) else ("weight",)


def is_layer(module: nn.Module) -> bool:
    """Return whether a module is a linear layer or a convolution, whose one weight meets its one input."""
    return isinstance(module, _LAYERS)


@lru_cache(maxsize=1024)  # asked for every module of a network, often
def _holds_weights(kind: type[nn.Module]) -> bool:
    kinds = (*_LAYERS, nn.Bilinear, nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase)
    return issubclass(kind, kinds) or _is_drop_connect(kind)


def _is_drop_connect(kind: type[nn.Module]) -> bool:
    """Return whether a class is SpikingJelly's DropConnectLinear, which is no Linear; without importing it."""
    library = sys.modules.get("spikingjelly.activation_based.layer.dropout")
    return library is not None and issubclass(kind, library.DropConnectLinear)
