"""Kinds of torch operators, by what their outputs depend on: one rule for each kind serves every analysis."""

from collections.abc import Mapping
from typing import Any

import torch
from torch._ops import OpOverload

# One of "move", "pointwise", "product", "reduce", "mix", "scan", "contract", "window", "embed", "constant", "value",
# and "opaque".
Kind = str


def names_of(text: str) -> frozenset[str]:
    """Return the names in a text with spaces between them."""
    return frozenset(text.split())


# Elements go to other places, and nothing is computed. Views are known by themselves.
_MOVES = names_of("""
    _unsafe_view cat channel_shuffle col2im constant_pad_nd expand_copy flip gather im2col index index_put
    index_select permute_copy pixel_shuffle pixel_unshuffle reflection_pad1d reflection_pad2d reflection_pad3d
    repeat replication_pad1d replication_pad2d replication_pad3d roll scatter scatter_add select select_scatter
    slice slice_scatter split squeeze stack t transpose tril triu unbind unsafe_chunk unsafe_split
    unsafe_split_with_sizes unsqueeze upsample_nearest1d upsample_nearest2d upsample_nearest3d view_copy
""")
_POINTWISE = names_of("""
    _native_batch_norm_legit_no_training _to_copy alias bernoulli binomial clamp clone contiguous copy detach fill
    lerp lift_fresh lift_fresh_copy masked_fill native_dropout normal poisson where zero
""")
_PRODUCTS = names_of("__and__ bitwise_and logical_and mul")
_REDUCTIONS = names_of("""
    all amax amin aminmax any argmax argmin count_nonzero kthvalue linalg_vector_norm logsumexp max mean median min
    mode nansum norm prod std std_mean sum topk var var_mean
""")
_MIXES = names_of("""
    _batch_norm_with_update _log_softmax _native_batch_norm_legit _safe_softmax _softmax argsort cudnn_batch_norm
    native_batch_norm native_group_norm native_layer_norm sort
""")
_SCANS = names_of("cummax cummin cumprod cumsum logcumsumexp")
CONTRACTIONS = names_of(
    "_convolution _trilinear addmm addmv baddbmm bmm convolution cudnn_convolution linear mkldnn_convolution mm mv"
)
_WINDOWS = names_of("""
    _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool2d
    adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d max_pool1d_with_indices max_pool2d_with_indices
    max_pool3d_with_indices upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_trilinear3d
""")
_FACTORIES = names_of("""
    bernoulli_p empty_like full_like new_empty new_empty_strided new_full new_ones new_zeros ones_like rand_like
    randint_like randn_like zeros_like
""")
# A decision of Python on a value: what follows holds for that value.
_VALUES = names_of("_local_scalar_dense equal is_nonzero item nonzero _is_all_true _is_any_true")
ACTIVATIONS = names_of("elu gelu hardsigmoid hardswish hardtanh leaky_relu mish relu relu6 sigmoid silu softplus tanh")
COMPARISONS = names_of("ge gt heaviside le lt round sign")


def base_name(operator: OpOverload) -> str:
    """Return the name of an operator without its variant; that of an in-place one as of the one that it stands for."""
    name = operator._schema.name.partition("::")[2]
    return name.removesuffix("_") if operator._schema.is_mutable and not name.startswith("__") else name


def plain_name(name: str) -> str:
    """Return the name of an operator as users know it: "max_pool2d", "batch_norm", "softmax"."""
    for prefix in ("_safe_", "_log_", "native_", "_native_", "_"):
        name = name.removeprefix(prefix)
    return name.removesuffix("_with_indices").removesuffix("_legit_no_training")


def kind_of(operator: OpOverload) -> Kind:
    """Return the kind of an operator; one that is not known is "opaque"."""
    name = base_name(operator)
    if name in _VALUES:
        return "value"
    if name in CONTRACTIONS:
        return "contract"
    if name == "embedding":
        return "embed"
    if name in _FACTORIES or not any("Tensor" in str(argument.type) for argument in operator._schema.arguments):
        return "constant"
    if name in _REDUCTIONS and torch.Tag.pointwise not in operator.tags:
        return "reduce"
    for names, kind in _BY_NAME:
        if name in names:
            return kind
    if operator.is_view:
        return "move"
    if torch.Tag.pointwise in operator.tags:
        return "pointwise"
    return "opaque"


_BY_NAME: tuple[tuple[frozenset[str], Kind], ...] = (
    (_PRODUCTS, "product"),
    (_SCANS, "scan"),
    (_MIXES, "mix"),
    (_WINDOWS, "window"),
    (_POINTWISE, "pointwise"),
    (_MOVES, "move"),
)


def arguments_of(operator: OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name, defaults included."""
    names = [argument.name for argument in operator._schema.arguments]
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return {argument.name: given.get(argument.name, argument.default_value) for argument in operator._schema.arguments}
