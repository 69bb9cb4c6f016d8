"""Batches are checked at one place, for all criteria and methods: what cannot be used is named with its cure."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from snnprune import InputError, budget, criteria, methods
from snnprune.losses import LOSSES
from snnprune.probe import batches_of, check_batch

INPUTS, LABELS = torch.rand(4, 6), torch.tensor([0, 1, 2, 3])
LABELLED = ("fisher", "grasp", "movement", "snip", "taylor")
DATA = ("sipp", "spike-flip", "synflow", "synops", "wanda", *LABELLED)
METHODS = ("fisher", "grasp", "snip", "taylor")

BATCHES = {
    "a tensor": (INPUTS, r"must be a list of batches, found Tensor of shape \[4, 6\]: pass \[inputs\]"),
    "a pair": ((INPUTS, LABELS), r"found \(inputs, labels\): pass \[\(inputs, labels\)\]"),
    "numpy": ([INPUTS.numpy()], r"each batch must be a tensor of inputs or a pair .*, found ndarray of shape \[4, 6\]"),
    "numpy pair": ([(INPUTS.numpy(), LABELS.numpy())], r"found \(ndarray, ndarray\)"),
    "three": ([(INPUTS, LABELS, LABELS)], r"found \(Tensor, Tensor, Tensor\)"),
    "text": (["inputs"], "found 'inputs'"),
    "none": ([None], "found None"),
    "no such keyword": ([({"x": INPUTS}, LABELS)], r"does not take inputs \[\d, 6\].* unexpected keyword argument 'x'"),
    "nothing in it": ([({}, LABELS)], "each batch must be"),
    "several inputs": (
        [((INPUTS, INPUTS), LABELS)],
        r"does not take inputs \[\d, 6\].*\[\d, 6\].*positional arguments?",
    ),
    "no samples": ([(INPUTS[:0], LABELS[:0])], r"every batch must hold samples, found one of shape \[0, 6\]"),
    "one number": ([torch.tensor(1.0)], r"every batch must hold samples, found one of shape \[\]"),
    "other features": ([(torch.rand(4, 5), LABELS)], r"Sequential does not take (inputs )?\[\d, 5\]"),
    "another type": ([(INPUTS.double(), LABELS)], r"does not take (inputs )?\[\d, 6\].* same dtype"),
}
LABELS_OF_NO_USE = {
    "column": (LABELS[:, None], r"labels must be of shape \[B\], found \[4, 1\]: pass labels\.squeeze\(1\)"),
    "one-hot": (torch.eye(4), r"must be of shape \[B\], found \[4, 4\]: pass labels\.argmax\(1\) if they are one-hot"),
    "one-hot integers": (torch.eye(4).long(), r"pass labels\.argmax\(1\)"),
    "floating": (LABELS.float(), r"labels must be whole numbers, found torch\.float32: pass labels\.long\(\)"),
    "bool": (LABELS > 1, r"labels must be whole numbers, found torch\.bool"),
    "too few": (LABELS[:3], r"3 labels do not fit inputs of shape \(4, 6\): pass \[B, \.\.\.\] or \[T, B, \.\.\.\]"),
    "negative": (LABELS - 1, "labels must be 0 or more, found -1"),
    "too large": (LABELS + 3, r"labels must be from 0 to 3, for 4 outputs: found [46]"),
    "list": ([0, 1, 2, 3], r"labels must be a tensor, found \[0, 1, 2, 3\]: pass torch\.as_tensor\(labels\)"),
    "one number": (torch.tensor(1), r"labels must be of shape \[B\], found \[\]"),
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))


def make(name: str, batches: object) -> methods.Method:
    built = network()
    optimizer = SGD(built.parameters(), lr=0.1)
    method = methods.create(name, built, optimizer, density=0.5, steps=2, end=0.0, batches=batches)
    built(INPUTS).sum().backward()
    optimizer.step()
    return method


@pytest.mark.parametrize("kind", BATCHES)
@pytest.mark.parametrize("name", DATA)
def test_wrong_batches_are_refused_by_every_criterion(name, kind):
    batches, message = BATCHES[kind]
    if name == "synflow" and kind == "another type":
        return  # only the shape of the inputs is used
    with pytest.raises(InputError, match=message) as caught:
        criteria.score(name, network(), batches)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=message):
        criteria.find(name).function(network(), batches)


@pytest.mark.parametrize("kind", [kind for kind in BATCHES if kind not in ("a tensor", "a pair")])
def test_wrong_batches_are_refused_by_counting(kind):
    batches, message = BATCHES[kind]
    for count in (budget.count_operations, budget.assess):
        with pytest.raises(InputError, match=message):
            count(network(), batches)


@pytest.mark.parametrize("kind", LABELS_OF_NO_USE)
@pytest.mark.parametrize("name", LABELLED)
def test_wrong_labels_are_refused_by_every_criterion_that_needs_some(name, kind):
    labels, message = LABELS_OF_NO_USE[kind]
    with pytest.raises(InputError, match=message) as caught:
        criteria.score(name, network(), [(INPUTS, labels)])
    assert "\n" not in str(caught.value)
    # in the last of several batches too
    with pytest.raises(InputError, match=message):
        criteria.find(name).function(network(), [(INPUTS, LABELS), (INPUTS, labels)])


@pytest.mark.parametrize("kind", {**BATCHES, **LABELS_OF_NO_USE})
@pytest.mark.parametrize("name", METHODS)
def test_and_by_every_method_that_needs_them(name, kind):
    batches, message = BATCHES.get(kind) or ([(INPUTS, LABELS_OF_NO_USE[kind][0])], LABELS_OF_NO_USE[kind][1])
    with pytest.raises(InputError, match=message):
        make(name, batches)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_finds_wrong_labels_before_any_training(name):
    built = network()
    optimizer = SGD(built.parameters(), lr=0.1)
    for kind, (labels, message) in LABELS_OF_NO_USE.items():
        if kind != "too large":  # what the network returns is known when it runs
            with pytest.raises(InputError, match=message):
                methods.create(name, built, optimizer, density=0.5, steps=9, batches=[(INPUTS, labels)])
    assert not optimizer._optimizer_step_pre_hooks


@pytest.mark.parametrize("name", ["wanda", "synflow", "sipp", "spike-flip", "synops"])
def test_labels_that_are_not_needed_are_ignored(name):
    expected = criteria.score(name, network(), [INPUTS])
    for labels, _ in LABELS_OF_NO_USE.values():
        found = criteria.score(name, network(), [(INPUTS, labels)])
        assert all(torch.equal(found[layer], expected[layer]) for layer in expected)


@pytest.mark.parametrize("name", DATA)
def test_batches_may_be_made_one_by_one(name):
    pairs = [(INPUTS, LABELS), (INPUTS.flip(0), LABELS.flip(0))]
    expected = criteria.score(name, network(), pairs)
    for batches in ((pair for pair in pairs), iter(pairs), tuple(pairs), [list(pair) for pair in pairs]):
        found = criteria.find(name).function(network(), batches)
        assert all(torch.equal(found[layer], expected[layer]) for layer in expected)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_takes_a_generator(name):
    pairs = [(INPUTS, LABELS)]
    first, second = (make(name, batches).connectivity() for batches in (pairs, (pair for pair in pairs)))
    assert first == second


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
@pytest.mark.parametrize("name", LABELLED)
def test_labels_of_every_integer_type(name, dtype):
    expected = criteria.score(name, network(), [(INPUTS, LABELS)])
    found = criteria.score(name, network(), [(INPUTS, LABELS.to(dtype))])
    assert all(torch.equal(found[layer], expected[layer]) for layer in expected)


def test_inputs_of_several_time_steps_have_their_samples_on_the_second_axis():
    inputs, labels = torch.rand(5, 4, 6), LABELS
    assert check_batch((inputs, labels), labelled=True)[1] is labels
    with pytest.raises(InputError, match="6 labels do not fit"):
        check_batch((inputs, torch.arange(6)), labelled=True)
    assert batches_of(()) == []


WRONG_LOSSES: dict[str, tuple[Callable[..., object], str]] = {
    "a vector": (lambda output, labels: output[0], r"one number with a gradient, found Tensor of shape \[4\]"),
    "no gradient": (lambda output, labels: output.detach().mean(), "one number with a gradient"),
    "a plain number": (lambda output, labels: 1.0, "one number with a gradient, found 1.0"),
    "an error": (lambda output, labels: output @ labels, r"loss cannot be computed of outputs \[\d, 4\]"),
}


@pytest.mark.parametrize("kind", WRONG_LOSSES)
@pytest.mark.parametrize("name", ["fisher", "movement", "snip", "taylor"])
def test_losses_of_no_use(name, kind):
    loss, message = WRONG_LOSSES[kind]
    with pytest.raises(InputError, match=message):
        criteria.score(name, network(), [(INPUTS, LABELS)], loss=loss)
    with pytest.raises(InputError, match="loss must be a function of 2 arguments, found <lambda>"):
        criteria.score(name, network(), [(INPUTS, LABELS)], loss=lambda output: output.sum())
    with pytest.raises(InputError, match="loss must be a function, found 'mse'"):
        criteria.score(name, network(), [(INPUTS, LABELS)], loss="mse")


@pytest.mark.parametrize("loss", LOSSES.values(), ids=list(LOSSES))
def test_losses_by_name_are_functions_of_outputs_and_labels(loss):
    assert criteria.score("snip", network(), [(INPUTS, LABELS)], loss=loss).keys() == {"0.weight", "2.weight"}


class Pair(nn.Module):
    """Returns outputs and something else."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer(inputs), inputs


@pytest.mark.parametrize("name", DATA)
def test_networks_may_return_several_outputs_and_a_loss_must_take_them(name):
    torch.manual_seed(0)
    network = Pair()
    if name == "grasp":  # it takes the logarithm of class probabilities
        with pytest.raises(InputError, match="loss cannot be computed of outputs of type tuple"):
            criteria.score(name, network, [(INPUTS, LABELS)])
        return
    scores = criteria.score(name, network, [(INPUTS, LABELS)], loss=lambda output, labels: output[0].square().mean())
    assert list(scores) == ["layer.weight"]
    if name in LABELLED:
        with pytest.raises(InputError, match="loss cannot be computed of outputs of type tuple"):
            criteria.score(name, network, [(INPUTS, LABELS)])


def test_criteria_of_ones_own_of_no_use():
    with pytest.raises(InputError, match=r"criterion <lambda> must be a function \(network, batches\)"):
        criteria.score(lambda network: {}, network())
    with pytest.raises(InputError, match=r"criterion int must be a function \(network, batches\)"):
        criteria.score(int, network())
    with pytest.raises(InputError, match=r"criterion <lambda> must return named tensors, found \[1\]"):
        criteria.score(lambda network, batches: [1], network())
    with pytest.raises(InputError, match="criterion <lambda> must return named tensors"):
        criteria.score(lambda network, batches: {"0.weight": np.ones((8, 6))}, network())
