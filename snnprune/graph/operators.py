"""Kinds of torch operators, by what their outputs depend on: one rule for each kind serves every analysis."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch._ops import OpOverload

Kind = Literal[
    "move",
    "pointwise",
    "product",
    "reduce",
    "mix",
    "scan",
    "contract",
    "window",
    "embed",
    "constant",
    "value",
    "opaque",
]

# Elements go to other places, and nothing is computed. Views are known by themselves.
_MOVES = frozenset(
    [
        "_unsafe_view",
        "cat",
        "stack",
        "index",
        "index_select",
        "gather",
        "constant_pad_nd",
        "reflection_pad1d",
        "reflection_pad2d",
        "reflection_pad3d",
        "replication_pad1d",
        "replication_pad2d",
        "replication_pad3d",
        "roll",
        "flip",
        "repeat",
        "unsafe_split",
        "unsafe_split_with_sizes",
        "unsafe_chunk",
        "select_scatter",
        "slice_scatter",
        "im2col",
        "col2im",
        "tril",
        "triu",
        "pixel_shuffle",
        "pixel_unshuffle",
        "channel_shuffle",
        "upsample_nearest1d",
        "upsample_nearest2d",
        "upsample_nearest3d",
        "squeeze",
        "unsqueeze",
        "transpose",
        "t",
        "view_copy",
        "permute_copy",
        "expand_copy",
        "scatter",
        "scatter_add",
        "index_put",
        "split",
        "unbind",
        "select",
        "slice",
    ]
)
_POINTWISE = frozenset(
    [
        "copy",
        "fill",
        "zero",
        "clone",
        "_to_copy",
        "where",
        "masked_fill",
        "native_dropout",
        "lift_fresh",
        "lift_fresh_copy",
        "bernoulli",
        "_native_batch_norm_legit_no_training",
        "clamp",
        "lerp",
        "contiguous",
        "detach",
        "alias",
    ]
)
_PRODUCTS = frozenset({"mul", "logical_and", "bitwise_and", "__and__"})
_REDUCTIONS = frozenset(
    [
        "sum",
        "mean",
        "amax",
        "amin",
        "max",
        "min",
        "any",
        "all",
        "prod",
        "var",
        "std",
        "var_mean",
        "std_mean",
        "argmax",
        "argmin",
        "linalg_vector_norm",
        "logsumexp",
        "norm",
        "nansum",
        "median",
        "mode",
        "aminmax",
        "topk",
        "kthvalue",
        "count_nonzero",
    ]
)
_MIXES = frozenset(
    [
        "_softmax",
        "_safe_softmax",
        "_log_softmax",
        "sort",
        "argsort",
        "native_layer_norm",
        "native_group_norm",
        "native_batch_norm",
        "_native_batch_norm_legit",
        "_batch_norm_with_update",
        "cudnn_batch_norm",
    ]
)
_SCANS = frozenset({"cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"})
CONTRACTIONS = frozenset(
    [
        "mm",
        "addmm",
        "bmm",
        "baddbmm",
        "mv",
        "addmv",
        "linear",
        "convolution",
        "_convolution",
        "cudnn_convolution",
        "mkldnn_convolution",
        "_trilinear",
    ]
)
_WINDOWS = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "max_pool1d_with_indices",
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
    "_adaptive_avg_pool2d",
    "_adaptive_avg_pool3d",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "upsample_linear1d",
    "upsample_bilinear2d",
    "upsample_bicubic2d",
    "upsample_trilinear3d",
]
_FACTORIES = frozenset(
    [
        "zeros_like",
        "ones_like",
        "empty_like",
        "full_like",
        "rand_like",
        "randn_like",
        "randint_like",
        "new_zeros",
        "new_ones",
        "new_empty",
        "new_full",
        "new_empty_strided",
        "bernoulli_p",
    ]
)
# A decision of Python on a value: what follows holds for that value.
_VALUES = frozenset({"_local_scalar_dense", "is_nonzero", "equal", "item", "nonzero"})
ACTIVATIONS = frozenset(
    [
        "relu",
        "gelu",
        "silu",
        "tanh",
        "sigmoid",
        "leaky_relu",
        "elu",
        "hardtanh",
        "hardsigmoid",
        "hardswish",
        "mish",
        "softplus",
        "relu6",
    ]
)
COMPARISONS = frozenset({"ge", "gt", "le", "lt", "heaviside", "sign", "round"})


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
    (frozenset(_WINDOWS), "window"),
    (_POINTWISE, "pointwise"),
    (_MOVES, "move"),
)


def arguments_of(operator: OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name, defaults included."""
    names = [argument.name for argument in operator._schema.arguments]
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return {argument.name: given.get(argument.name, argument.default_value) for argument in operator._schema.arguments}
