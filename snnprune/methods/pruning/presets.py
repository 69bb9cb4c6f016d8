"""Named pruning methods: `Pruning` with the criterion, allocation and schedule of a paper.

A preset is a subclass with four class attributes, the defaults of the options of the same name: CRITERION, ALLOCATION,
SCHEDULE, and END, the share of the training after which the density is reached. Its docstring names the paper and the
data that it needs. All presets take the arguments of `Pruning`.
"""

from ..registry import register
from .pruning import Pruning

# Rounds of SynFlow, each with scores of its own.
ROUNDS = 100


# --- Before training


@register("random")
class Random(Pruning):
    """Keep random synapses, at the same density in every layer, before the first step.

    Gale, Elsen, Hooker ("The State of Sparsity in Deep Neural Networks", 2019) show how strong this baseline is.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "random", "uniform", "one-shot", 0.0


@register("snip")
class SNIP(Pruning):
    """Keep the connections of the fresh network to which the loss is most sensitive; see `criteria.snip`.

    Lee, Ajanthan, Torr, ICLR 2019. Needs batches with labels.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "snip", "global", "one-shot", 0.0


@register("grasp")
class GraSP(Pruning):
    """Keep the synapses that preserve the gradient flow of the fresh network; see `criteria.grasp`.

    Wang, Zhang, Grosse, ICLR 2020. Needs batches with labels.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "grasp", "global", "one-shot", 0.0


@register("synflow")
class SynFlow(Pruning):
    """Keep the synapses that carry the flow through the fresh network; see `criteria.synflow`.

    Tanaka et al., NeurIPS 2020, algorithm 1: 100 rounds before the first step, each with new scores, with an
    exponentially falling density. Needs batches, of which only the shape is used.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "synflow", "global", "one-shot", 0.0

    def _prune_to(self, density: float) -> None:
        before = self.connectivity().density
        for done in range(1, ROUNDS + 1):
            super()._prune_to(before * (density / before) ** (done / ROUNDS))


# --- After training: train for the first 30 % of the steps, prune at once, fine-tune


@register("magnitude")
class Magnitude(Pruning):
    """Train, prune the smallest weights of all layers, fine-tune.

    Han, Pool, Tran, Dally: "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015, in one
    round. Training and fine-tuning share the steps, so that methods are compared at the same budget.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "magnitude", "global", "one-shot", 0.3


@register("lamp")
class LAMP(Pruning):
    """Train, prune by LAMP scores, fine-tune; see `allocation.lamp`.

    Lee, Park, Mo, Ahn, Shin, ICLR 2021.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "magnitude", "lamp", "one-shot", 0.3


@register("wanda")
class Wanda(Pruning):
    """Train, prune the inputs of each neuron by weight times activity, fine-tune; see `criteria.wanda`.

    Sun et al., ICLR 2024, without fine-tuning there. Needs batches.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "wanda", "rows", "one-shot", 0.3


@register("fisher")
class Fisher(Pruning):
    """Train, prune by Optimal Brain Damage with the Fisher information, fine-tune; see `criteria.fisher`.

    LeCun, Denker, Solla, 1990; Theis et al., 2018. Needs batches with labels; takes a backward pass for each sample.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "fisher", "global", "one-shot", 0.3


@register("sipp")
class SiPP(Pruning):
    """Train, prune by SiPP, fine-tune; see `criteria.sipp`.

    Baykal et al., 2019; Liebenwein et al., MLSys 2021. The deterministic variant, ranked globally. Needs batches.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "sipp", "global", "one-shot", 0.3


# --- Gradual: on a cubic schedule over the first 65 % of the steps


@register("gmp")
class GradualMagnitude(Pruning):
    """Prune the smallest weights of all layers while the network trains, on a cubic schedule.

    Zhu and Gupta: "To Prune, or Not to Prune", 2017.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "magnitude", "global", "cubic", 0.65


@register("taylor")
class Taylor(Pruning):
    """Prune the synapses with the least effect on the loss while the network trains; see `criteria.taylor`.

    Molchanov et al., 2017 and 2019, where pruning of a few units and training alternate. Needs batches with labels.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "taylor", "global", "cubic", 0.65
