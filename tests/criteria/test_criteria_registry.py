import pytest
import torch
from torch import Tensor, nn

from snnprune import InputError, criteria
from snnprune.criteria import Criterion, check_batches, find, register, registry, score
from snnprune.losses import cross_entropy, mse

BATCH = (torch.rand(4, 3), torch.tensor([0, 1, 0, 1]))


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def own(network: nn.Module, batches: object) -> dict[str, Tensor]:
    """A criterion that does not depend on this library."""
    return {name: parameter * 2 for name, parameter in network.named_parameters()}


def test_every_criterion_is_exported_and_known_by_its_name():
    assert criteria.names() == sorted(criteria.names())
    for name in criteria.names():
        found = find(name)
        assert getattr(criteria, name.replace("-", "_")) is found.function
        assert find(found.function) is found
        assert (found.function.__doc__ or "").count("\n") > 5


def test_the_needs_of_each_criterion():
    by_need = {need: [name for name in criteria.names() if find(name).needs == need] for need in ("nothing", "labels")}
    assert by_need["nothing"] == ["magnitude", "random"]
    assert by_need["labels"] == ["fisher", "grasp", "movement", "snip", "taylor"]


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="unknown criterion 'size': known are fisher, grasp, magnitude"):
        score("size", network())


def test_another_package_registers_its_own(monkeypatch):
    monkeypatch.setattr(registry.CRITERIA, "_entries", dict(registry.CRITERIA))
    register("twice", needs="nothing")(own)
    register("twice", needs="nothing")(own)  # registering the same function again is allowed
    assert find(own) == Criterion("twice", own, "nothing")
    assert "twice" in criteria.names()
    with pytest.raises(InputError, match=r"criterion name 'magnitude' is taken by snnprune\.criteria\.magnitude"):
        register("magnitude", needs="nothing")(own)


def test_a_function_of_ones_own_is_a_criterion():
    built = network()
    scores = score(own, built, exclude=["2"])
    assert list(scores) == ["0.weight"]
    assert torch.equal(scores["0.weight"], 2 * built[0].weight)
    assert not scores["0.weight"].requires_grad
    assert find(own) == Criterion("own", own, "nothing")


def test_a_function_of_ones_own_gets_the_arguments_it_takes():
    seen = {}

    def asking(network, batches, *, loss, exclude, power=1):
        seen.update(loss=loss, exclude=exclude, power=power, batches=batches)
        return own(network, batches)

    def taking_all(network, batches, **options):
        seen.update(all=options)
        return own(network, batches)

    score(asking, network(), (batch for batch in [BATCH]), loss=cross_entropy, exclude=["2"], power=3)
    assert seen == {"loss": cross_entropy, "exclude": ("2",), "power": 3, "batches": [BATCH]}
    score(taking_all, network(), power=2)
    assert seen["all"] == {"loss": mse, "exclude": (), "power": 2}


def test_scores_keep_their_precision_and_are_in_the_order_of_the_layers():
    def backwards(network, batches):
        return {name: value.double() for name, value in reversed(own(network, batches).items())}

    scores = score(backwards, network())
    assert list(scores) == ["0.weight", "2.weight"]
    assert {value.dtype for value in scores.values()} == {torch.float64}
    halves = score(lambda network, batches: {n: v.half() for n, v in own(network, batches).items()}, network())
    assert {value.dtype for value in halves.values()} == {torch.float32}


def test_scores_that_do_not_fit_the_synapses_are_refused():
    with pytest.raises(
        InputError, match=r"scores of criterion <lambda> and Sequential do not match: 0\.weight is absent in the first"
    ):
        score(lambda network, batches: {}, network())
    wrong = Own({"0.weight": torch.ones(4, 3), "2.weight": torch.ones(1)})
    with pytest.raises(
        InputError,
        match=r"criterion own and Sequential do not match: 2\.weight is \(1,\) in the first and \(2, 4\) in the second",
    ):
        score(wrong, network())


class Own:
    """A criterion that is an object."""

    def __init__(self, scores: dict[str, Tensor]) -> None:
        self.scores, self.__name__ = scores, "own"

    def __call__(self, network: nn.Module, batches: object) -> dict[str, Tensor]:
        return self.scores


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("magnitude", {"seed": 1}, r"criterion magnitude does not take seed: it takes exclude"),
        ("grasp", {"t": 1, "u": 2}, r"grasp does not take t, u: it takes temperature, exclude"),
        (own, {"seed": 1}, r"criterion own does not take seed: it takes no options"),
    ],
)
def test_an_unknown_option_names_the_known_ones(name, options, message):
    with pytest.raises(InputError, match=message):
        score(name, network(), [BATCH], **options)


@pytest.mark.parametrize("name", criteria.names())
def test_data_that_is_needed_is_asked_for(name):
    needs = find(name).needs
    if needs == "nothing":
        assert score(name, network()).keys() == {"0.weight", "2.weight"}
        return
    with pytest.raises(InputError, match=rf"{name} needs data, found no batches: pass batches=\[.*inputs"):
        score(name, network())
    if needs == "labels":
        with pytest.raises(InputError, match=rf"{name} needs labels, found inputs alone: pass batches=\[\("):
            score(name, network(), [BATCH[0]])
    else:
        labelled, plain = score(name, network_of(name), [BATCH]), score(name, network_of(name), [BATCH[0]])
        assert all(torch.equal(value, plain[key]) for key, value in labelled.items())


def network_of(seed: str) -> nn.Sequential:
    torch.manual_seed(len(seed))
    return network()


def test_checking_takes_the_first_batch_of_a_list_and_leaves_it():
    batches = [BATCH]
    check_batches(find("snip"), batches)
    assert batches == [BATCH]
    with pytest.raises(InputError, match="needs data, found no batches"):
        check_batches(find("snip"), [])
