"""One-shot pruning by empirical sensitivity."""

from .pruning import Pruning
from .registry import register


@register("sipp")
class SiPP(Pruning):
    r"""Train, prune by SiPP, fine-tune; see `criteria.sipp`.

    Baykal et al., 2019; Liebenwein et al., MLSys 2021. The deterministic variant, ranked globally. Needs batches.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "sipp", "global", "one-shot", 0.3
