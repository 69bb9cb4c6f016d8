"""Named pruning methods: a criterion, an allocation and a schedule each.

A preset is `Pruning` with other defaults: a class with its paper, the four constants, and a name.
"""

from ..registry import register
from .pruning import Pruning


@register("gmp")
class GradualMagnitude(Pruning):
    r"""The smallest weights of all layers go while the network trains, on a cubic schedule.

    Zhu and Gupta: "To Prune, or Not to Prune", 2017. The ramp takes the first 65 % of the steps.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "magnitude", "global", "cubic", 0.65


@register("magnitude")
class Magnitude(Pruning):
    r"""Train, prune the smallest weights of all layers at once, fine-tune.

    Han, Pool, Tran, Dally: "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015, in one
    round. Training takes the first 30 % of the steps and fine-tuning the rest, so that the whole budget is counted.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "magnitude", "global", "one-shot", 0.3


@register("lamp")
class LAMP(Pruning):
    r"""Train, prune by LAMP scores, fine-tune; see `allocation.lamp`.

    Lee, Park, Mo, Ahn, Shin, ICLR 2021.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "magnitude", "lamp", "one-shot", 0.3


@register("wanda")
class Wanda(Pruning):
    r"""Train, prune the inputs of each neuron by weight times activity, fine-tune; see `criteria.wanda`.

    Sun et al., ICLR 2024, without their omission of fine-tuning. Needs batches.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "wanda", "rows", "one-shot", 0.3


@register("fisher")
class Fisher(Pruning):
    r"""Train, prune by Optimal Brain Damage with the Fisher information, fine-tune; see `criteria.fisher`.

    LeCun, Denker, Solla, 1990; Theis et al., 2018. Needs batches with labels; takes a backward pass for each sample.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "fisher", "global", "one-shot", 0.3


@register("sipp")
class SiPP(Pruning):
    r"""Train, prune by SiPP, fine-tune; see `criteria.sipp`.

    Baykal et al., 2019; Liebenwein et al., MLSys 2021. The deterministic variant, ranked globally. Needs batches.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "sipp", "global", "one-shot", 0.3


@register("snip")
class SNIP(Pruning):
    r"""The most sensitive connections of the fresh network are kept; see `criteria.snip`.

    Lee, Ajanthan, Torr, ICLR 2019. Needs batches with labels.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "snip", "global", "one-shot", 0.0


@register("grasp")
class GraSP(Pruning):
    r"""Keep the synapses that the gradient flow of the fresh network needs; see `criteria.grasp`.

    Wang, Zhang, Grosse, ICLR 2020. Needs batches with labels.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "grasp", "global", "one-shot", 0.0


@register("taylor")
class Taylor(Pruning):
    r"""Prune the synapses that change the loss least, while the network trains; see `criteria.taylor`.

    Molchanov et al., 2017 and 2019, where a few units are pruned between periods of training. Needs batches with
    labels.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "taylor", "global", "cubic", 0.65


@register("random")
class Random(Pruning):
    r"""Synapses drawn at random, the same density in every layer, before the first step.

    Gale, Elsen, Hooker ("The State of Sparsity in Deep Neural Networks", 2019) show how strong this baseline is.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "random", "uniform", "one-shot", 0.0


ROUNDS = 100


@register("synflow")
class SynFlow(Pruning):
    """The flow through the fresh network is kept up; see `criteria.synflow`.

    Tanaka et al., NeurIPS 2020, algorithm 1: 100 rounds before the first step, each with scores of its own, the density
    falling exponentially. Needs batches, of which only the shape is used. Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "synflow", "global", "one-shot", 0.0

    def _prune_to(self, density: float) -> None:
        before = self.connectivity().density
        for done in range(1, ROUNDS + 1):
            super()._prune_to(before * (density / before) ** (done / ROUNDS))
