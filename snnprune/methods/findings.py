"""Findings in weights and scores during training: reported at once on a CPU, later where reading waits for a device.

On a GPU a step must not read anything back. Counts are then added up on the device, and reported when the connectivity
or the state is asked for, which reads data anyway.
"""

import logging
from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import InputError
from . import exact

logger = logging.getLogger(__name__)


class Findings:
    """Weights that were changed at absent synapses, and weights or scores that are not finite, by parameter name."""

    def __init__(self) -> None:
        self._foreign: dict[str, Tensor] = {}
        self._weights: dict[str, Tensor] = {}
        self._unranked: dict[str, Tensor] = {}
        self._reported = False

    def add_foreign(self, name: str, count: Tensor) -> None:
        """Note weights that are not 0 at absent synapses; `count` has no dimensions. Reported once for a method."""
        if not self._reported:
            _add(self._foreign, name, count)

    def check_ranked(self, scores: Mapping[str, Tensor], steps_done: int) -> None:
        """Make sure that scores can be ranked: all of them must be finite.

        Args:
            scores: name -> scores, floating point.
            steps_done: for the message.

        Raises:
            InputError: nan or infinity in the scores on a CPU; the layers are named.
        """
        self._note_not_finite(self._unranked, scores)
        if exact.on_host(*self._unranked.values()):
            self._raise_unranked(steps_done)

    def check_weights(self, parameters: Mapping[str, Tensor], steps_done: int) -> None:
        """Make sure that weights are finite.

        Raises:
            InputError: nan or infinity on a CPU; the layers are named.
        """
        self._note_not_finite(self._weights, parameters)
        if exact.on_host(*self._weights.values()):
            self._raise_weights(steps_done)

    def report_foreign(self) -> None:
        """Log a warning that names the layers with changed weights at absent synapses, unless that was done before."""
        counts = {name: int(count) for name, count in self._foreign.items()}
        self._foreign = {}
        if found := [f"{name} ({count})" for name, count in counts.items() if count]:
            self._reported = True
            logger.warning(
                "weights of absent synapses are not 0, in %s: they were changed or loaded since the last step; a step, "
                "or finalize(), sets them to 0; to go back to an earlier connectivity, load the method's state as well",
                ", ".join(found),
            )

    def report(self, steps_done: int) -> None:
        """Report everything found so far.

        Raises:
            InputError: as `check_ranked`.
        """
        self.report_foreign()
        self._raise_weights(steps_done)
        self._raise_unranked(steps_done)

    @staticmethod
    def _note_not_finite(counts: dict[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            if tensor.numel():
                _add(counts, name, ~torch.stack(torch.aminmax(tensor.detach())).isfinite().all())

    def _raise_weights(self, steps_done: int) -> None:
        found = [name for name, count in self._weights.items() if bool(count)]
        self._weights = {}
        if found:
            when = f"after {steps_done} steps" if steps_done else "before the first step"
            cure = (
                "lower the learning rate, or clip the gradients (method.clip_grad_norm_)"
                if steps_done
                else "initialise them anew, or load another checkpoint"
            )
            raise InputError(f"the weights of {', '.join(found)} are not finite (nan or infinity) {when}: {cure}")

    def _raise_unranked(self, steps_done: int) -> None:
        found = [name for name, count in self._unranked.items() if bool(count)]
        self._unranked = {}
        if found:
            raise InputError(
                f"the scores of {', '.join(found)} after {steps_done} steps are not finite (nan or infinity) and "
                "cannot be ranked: lower the learning rate, or clip the gradients (method.clip_grad_norm_)"
            )


def _add(counts: dict[str, Tensor], name: str, count: Tensor) -> None:
    counts[name] = counts[name] + count if name in counts else count
