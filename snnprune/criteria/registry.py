"""Criteria by name, and the call that scores a network. Other packages register criteria in the same way."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from torch import Tensor, nn

from ..errors import InputError, shortened
from ..losses import Loss, mse
from ..options import checked
from ..probe import Axes, Batch, Batches, Scores, batches_of, widened
from ..registry import Registry
from ..shapes import check_shapes, shapes_of
from ..synapses import Exclude, Include, entries_of, find_synapses

Needs = Literal["nothing", "inputs", "labels"]
Function = TypeVar("Function", bound=Callable[..., Scores])


@dataclass(frozen=True)
class Criterion:
    """A criterion and the data that it needs.

    Attributes:
        name: the registered name, or that of the function.
        function: `(network, batches, ...) -> {parameter name: scores}`; larger scores are more worth keeping.
        needs: "nothing", "inputs" (batches; labels are ignored), or "labels" (batches with labels).
    """

    name: str
    function: Callable[..., Scores]
    needs: Needs


CRITERIA: Registry[Criterion] = Registry("criterion")


def register(name: str, *, needs: Needs) -> Callable[[Function], Function]:
    """Return a decorator that registers a criterion under a name.

    Raises:
        InputError: the name is taken by another function.
    """

    def add(function: Function) -> Function:
        CRITERIA.add(name, Criterion(name, function, needs))
        return function

    return add


def names() -> list[str]:
    """Return the known criterion names, sorted."""
    return CRITERIA.names()


def find(criterion: str | Callable[..., Scores]) -> Criterion:
    """Return a criterion by name, or that of a function of your own, which is called with or without batches.

    Raises:
        InputError: unknown name (the known ones are listed), or a function that cannot be called like that.
    """
    if callable(criterion):
        own = next((known for known in CRITERIA.values() if known.function is criterion), None)
        name = getattr(criterion, "__name__", None) or type(criterion).__name__
        try:
            inspect.signature(criterion).bind_partial("network", "batches")
        except (TypeError, ValueError) as error:
            raise InputError(f"criterion {name} must be a function (network, batches): {error}") from error
        return own or Criterion(name, criterion, "nothing")
    return CRITERIA.find(criterion)


@checked
def score(
    criterion: str | Callable[..., Scores],
    network: nn.Module,
    batches: Batches = (),
    *,
    loss: Loss = mse,
    exclude: Exclude = (),
    include: Include = (),
    layout: Axes = None,
    **options: Any,
) -> Scores:
    """Score a network's synapses by a criterion.

    Args:
        criterion: as in `find`. A function of your own takes `(network, batches)`, and any of `loss`, `exclude`,
            `layout` and its own options as keywords.
        network: unchanged afterwards: weights, gradients, buffers, mode and neuron state, and the global random state.
        batches: inputs as the network takes them, or (inputs, labels) with labels [B]. All are held in memory at once.
        loss: of outputs and labels, for the criteria that take one.
        exclude: as in `find_synapses`; these synapses get no scores.
        include: as in `find_synapses`; a criterion gets both in its `exclude`.
        layout: axes of the inputs, "B", "TB" or "BT", for criteria that look into a run; None: found.
        options: of the criterion.

    Returns:
        parameter name -> scores of the weight's shape, float32 (for float64 weights float64); larger scores are more
            worth keeping.

    Raises:
        InputError: unknown name or option, no batches or labels where they are needed, a silent network, or a function
            of your own whose scores do not match the synapses.
    """
    found, batches, exclude = find(criterion), batches_of(batches), entries_of(exclude, include)
    check_batches(found, batches)
    takes = inspect.signature(found.function).parameters
    everything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values())
    if not everything and (unknown := [name for name in options if name not in takes]):
        own = [name for name in takes if name not in ("network", "batches", "loss", "layout")]
        raise InputError(
            f"criterion {found.name} does not take {', '.join(unknown)}: it takes {', '.join(own) or 'no options'}"
        )
    shared = {"loss": loss, "exclude": exclude, **({} if layout is None else {"layout": layout})}
    options |= {name: value for name, value in shared.items() if everything or name in takes}
    return _matched(found, checked(found.function)(network, batches, **options), network, exclude)


def check_batches(criterion: Criterion, batches: Sequence[Batch]) -> None:
    """Make sure that a criterion gets the data that it needs.

    Args:
        criterion: from `find`.
        batches: of `probe.batches_of`.

    Raises:
        InputError: no batches, or batches without labels, or with labels that it cannot use.
    """
    expected = {"inputs": "[inputs, ...]", "labels": "[(inputs, labels), ...]"}.get(criterion.needs)
    first = next(iter(batches), None)
    if expected and first is None:
        raise InputError(f"criterion {criterion.name} needs data, found no batches: pass batches={expected}")
    if criterion.needs == "labels" and isinstance(first, Tensor):
        raise InputError(f"criterion {criterion.name} needs labels, found inputs alone: pass batches={expected}")
    if criterion.needs == "labels":
        batches_of(batches, labelled=True)


def _matched(criterion: Criterion, scores: Scores, network: nn.Module, exclude: Exclude) -> Scores:
    """Return the scores of the network's synapses, in their order and float32 at least, after a check."""
    if not (isinstance(scores, Mapping) and all(isinstance(score, Tensor) for score in scores.values())):
        raise InputError(f"criterion {criterion.name} must return named tensors, found {shortened(scores)}")
    weights = {name: entry.parameter for name, entry in find_synapses(network, exclude=exclude).items()}
    chosen = {name: score for name, score in scores.items() if name in weights}
    what = f"the scores of criterion {criterion.name}"
    check_shapes(shapes_of(chosen), shapes_of(weights), what=what, where=type(network).__name__)
    return {name: widened(chosen[name].detach()) for name in weights}
