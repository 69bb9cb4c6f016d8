"""Many networks, each with an example: SpikingJelly's models, and what hooks on modules do not see."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from spikingjelly.activation_based import functional, layer, neuron, rnn, surrogate
from spikingjelly.activation_based.model import (
    masnn,
    maxformer,
    ms_resnet,
    parametric_lif_net,
    qkformer,
    sew_resnet,
    spike_driven_transformer,
    spikformer,
    spiking_resnet,
    spiking_vggws_ottt,
)
from torch import Tensor, nn

import models


@dataclass(frozen=True)
class Case:
    """A network and inputs for it.

    Attributes:
        make: returns the network.
        shape: of the inputs of `samples` samples.
        layout: of the inputs, as it is found.
        given: whether it must be given.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    layout: str = "B"
    given: bool = False

    def example(self, seed: int = 0) -> Tensor:
        """Return real inputs."""
        return torch.rand(self.shape, generator=torch.Generator().manual_seed(seed))

    @property
    def axis(self) -> int:
        """Axis of the samples."""
        return self.layout.index("B")


CASES: dict[str, Case] = {}


def case(
    *shape: int, layout: str = "B", given: bool = False
) -> Callable[[Callable[[], nn.Module]], Callable[[], nn.Module]]:
    """Return a decorator that adds a network under its function's name."""

    def add(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        CASES[make.__name__] = Case(make, shape, layout, given)
        return make

    return add


def multi(*modules: nn.Module) -> nn.Sequential:
    """Return a network in multi-step mode."""
    network = nn.Sequential(*modules)
    functional.set_step_mode(network, "m")
    return network


def spikes(threshold: float = 0.3) -> neuron.LIFNode:
    return neuron.LIFNode(v_threshold=threshold, v_reset=None)


# --- SpikingJelly's models


def zoo(make: Callable[..., nn.Module], **options: Any) -> nn.Module:
    network = make(
        spiking_neuron=neuron.LIFNode,
        surrogate_function=surrogate.ATan(),
        detach_reset=True,
        v_threshold=0.3,
        **options,
    )
    functional.set_step_mode(network, "m")
    return network


@case(2, 2, 3, 40, 40, layout="TB")
def sew_resnet18_add() -> nn.Module:
    return zoo(sew_resnet.sew_resnet18, pretrained=False, cnf="ADD", num_classes=5)


@case(2, 2, 3, 40, 40, layout="TB")
def sew_resnet18_and() -> nn.Module:
    return zoo(sew_resnet.sew_resnet18, pretrained=False, cnf="AND", num_classes=5)


@case(2, 2, 3, 40, 40, layout="TB")
def sew_resnet18_iand() -> nn.Module:
    return zoo(sew_resnet.sew_resnet18, pretrained=False, cnf="IAND", num_classes=5)


@case(2, 2, 3, 33, 33, layout="TB")
def spiking_resnet18() -> nn.Module:
    return zoo(spiking_resnet.spiking_resnet18, pretrained=False, num_classes=5)


@case(1, 2, 3, 32, 32, layout="TB")
def spiking_resnext50() -> nn.Module:
    return zoo(spiking_resnet.spiking_resnext50_32x4d, pretrained=False, num_classes=5)


@case(2, 2, 3, 16, 16, layout="TB")
def ms_resnet_small() -> nn.Module:
    return zoo(ms_resnet.MSResNet, T=2, num_classes=5, layers=(1, 1, 1, 1), base_channels=8, stem_kernel_size=3)


@case(2, 2, 2, 32, 32, layout="TB")
def masnn_small() -> nn.Module:
    return zoo(masnn.MASNN, T=2, num_classes=5, channels=(4, 6, 8), fc_hidden=12, reduction_t=1, reduction_c=2)


@case(2, 3, 32, 32)
def maxformer_small() -> nn.Module:
    return zoo(maxformer.MaxFormer, T=2, num_classes=5, embed_dims=48, depths=(1, 1, 1), cifar=True)


@case(2, 3, 64, 64)
def qkformer_small() -> nn.Module:
    return zoo(qkformer.QKFormer, T=2, num_classes=5, embed_dims=48, num_heads=(1, 2, 2), depths=(1, 1, 1))


@case(2, 3, 64, 64)
def spike_driven_small() -> nn.Module:
    return zoo(
        spike_driven_transformer.SpikeDrivenTransformer, T=2, num_classes=5, embed_dims=32, num_heads=2, depths=1
    )


@case(2, 3, 32, 32)
def spikformer_small() -> nn.Module:
    return zoo(
        spikformer.Spikformer,
        T=2,
        num_classes=5,
        img_size_h=32,
        img_size_w=32,
        patch_size=16,
        embed_dims=32,
        num_heads=2,
        depths=1,
    )


@case(2, 2, 1, 28, 28, layout="TB")
def plif_mnist() -> nn.Module:
    return zoo(parametric_lif_net.MNISTNet, channels=4)


@case(2, 2, 3, 32, 32, layout="TB")
def plif_cifar10() -> nn.Module:
    return zoo(parametric_lif_net.CIFAR10Net, channels=4)


@case(2, 2, 2, 128, 128, layout="TB")
def plif_dvs_gesture() -> nn.Module:
    return zoo(parametric_lif_net.DVSGestureNet, channels=4)


@case(2, 3, 32, 32)
def ottt_vgg11() -> nn.Module:
    return spiking_vggws_ottt.ottt_spiking_vgg11(num_classes=5)


# --- This library's models


@case(3, 1, 28, 28)
def mnist_mlp() -> nn.Module:
    return models.build("mnist-mlp", timesteps=3)


@case(3, 1, 28, 28)
def mnist_mlp_twin() -> nn.Module:
    return models.build("mnist-mlp", neuron="relu")


@case(2, 1, 28, 28)
def lenet5() -> nn.Module:
    return models.build("lenet5", timesteps=2)


# --- Layers, plain and in steps


@case(3, 2, 8, 8)
def single_step() -> nn.Module:
    return nn.Sequential(
        layer.Conv2d(2, 4, 3, stride=2, padding=1),
        spikes(),
        layer.AvgPool2d(2),
        layer.Flatten(),
        layer.Linear(16, 5),
        spikes(),
    )


@case(4, 3, 2, 8, 8, layout="TB")
def geometry_of_every_kind() -> nn.Module:
    return multi(
        layer.Conv2d(2, 4, 3, padding=1, groups=2, bias=False),
        layer.BatchNorm2d(4),
        spikes(),
        layer.MaxPool2d(3, 2, 1, ceil_mode=True),
        layer.Conv2d(4, 6, (3, 2), stride=(2, 1), dilation=(1, 2), padding=(1, 2)),
        spikes(),
        layer.ConvTranspose2d(6, 2, 3, stride=2, padding=1, output_padding=1),
        spikes(),
        layer.AdaptiveAvgPool2d((2, 3)),
        layer.Flatten(),
        layer.Linear(12, 5),
        spikes(),
    )


@case(3, 2, 9)
def one_dimension() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 4, 3, padding="same"),
        nn.ReLU(),
        nn.Conv1d(4, 3, 4, padding="same", padding_mode="circular"),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(27, 4),
    )


@case(2, 2, 4, 4, 4)
def three_dimensions() -> nn.Module:
    return nn.Sequential(nn.Conv3d(2, 3, 2, padding=1), nn.ReLU(), nn.MaxPool3d(2), nn.Flatten(), nn.Linear(24, 3))


@case(4, 3, 9, 8, layout="TB")
def tokens() -> nn.Module:
    return multi(layer.Linear(8, 6), spikes(), layer.Linear(6, 4), spikes())


@case(4, 3, 6, layout="TB")
def recurrent_container() -> nn.Module:
    return multi(layer.Linear(6, 5), layer.LinearRecurrentContainer(spikes(), 5, 5), layer.Linear(5, 3), spikes())


@case(4, 3, 6, layout="TB")
def elementwise_recurrent() -> nn.Module:
    return multi(
        layer.Linear(6, 5),
        layer.ElementWiseRecurrentContainer(spikes(), element_wise_function=lambda x, y: x + 0.5 * y),
        layer.Linear(5, 3),
        spikes(),
    )


@case(4, 3, 6, layout="TB")
def parallel_spiking_neuron() -> nn.Module:
    return multi(layer.Linear(6, 5), neuron.PSN(4), layer.Linear(5, 3), spikes())


@case(4, 3, 6, layout="TB")
def delay_and_filter() -> nn.Module:
    return multi(
        layer.Linear(6, 5), spikes(), layer.Delay(1), layer.SynapseFilter(tau=2.0), layer.Linear(5, 3), spikes()
    )


# --- What hooks on modules do not see


@case(3, 20)
class TwoIntoOne(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.n, self.c = nn.Linear(20, 7), nn.Linear(20, 7), spikes(), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.n(self.a(input=x) + self.b(1 - x)))


@case(3, 12)
class EmptiedBranch(nn.Module):
    """A residual block; tests empty its first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first, self.second, self.head = (nn.Linear(12, 12) for _ in range(4))
        self.neurons = nn.ModuleList(spikes() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.neurons[0](self.stem(x))
        return self.head(x + self.neurons[2](self.second(self.neurons[1](self.first(x)))))


@case(3, 10)
class NotPositive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(10, 8), nn.Linear(10, 8), nn.Linear(8, 4)
        self.gain = nn.Parameter(torch.tensor(-0.5))

    def forward(self, x: Tensor) -> Tensor:
        y = (self.a(x) - self.b(x)).relu()
        y = (y - y.mean(1, keepdim=True)) * self.gain
        return self.c(1 - y.softmax(1))


@case(3, 2, 6, 6)
class Normalised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(2, 4, 3), nn.InstanceNorm2d(4)
        self.b, self.group, self.c = nn.Conv2d(4, 4, 3), nn.GroupNorm(2, 4), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.group(self.b(self.norm(self.a(x)).relu())).relu().flatten(1))


@case(5, 3, 6, layout="TB")
class HandWritten(nn.Module):
    """Neurons of one's own, recurrent, in a loop over time."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.r, self.o = nn.Linear(6, 8), nn.Linear(8, 8, bias=False), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        v, s, out = x.new_zeros(x.shape[1], 8), x.new_zeros(x.shape[1], 8), []
        for t in range(len(x)):
            v = 0.5 * v + self.f(x[t]) + self.r(s)
            s = (v > 0.3).float()
            v = v - 0.3 * s
            out.append(self.o(s))
        return torch.stack(out).mean(0)


@case(3, 6)
class StillLoop(nn.Module):
    """A loop over time that sees a still input."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.n, self.o = nn.Linear(6, 8), spikes(), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.o(self.n(self.f(x))) for _ in range(4)]).mean(0)


@case(3, 5, 6, layout="BT")
class BatchFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f, self.n, self.o = nn.Linear(6, 4), neuron.LIFNode(step_mode="m", v_threshold=0.3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.o(self.n(self.f(x.transpose(0, 1))).mean(0))


@case(3, 4)
class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight
        self.n, self.k = spikes(0.1), spikes(0.1)

    def forward(self, x: Tensor) -> Tensor:
        return self.k(self.b(self.n(self.a(x))))


@case(5, 3, 4, layout="TB")
class CalledTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.n, self.k = (
            layer.Linear(4, 4, step_mode="m"),
            *(neuron.LIFNode(step_mode="m", v_threshold=0.1) for _ in "ab"),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.n(self.a(x))
        return self.k(self.a(x)).mean(0)


@case(4, 4, 8)
class Attention(nn.Module):
    """As many tokens as samples."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(8, 8) for _ in range(4))
        self.n = nn.ModuleList(spikes() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (n(part(x)) for n, part in zip(self.n, (self.q, self.k, self.v), strict=True))
        return self.o(q @ k.mT @ v).mean(1)


@case(4, 5, 8)
def transformer() -> nn.Module:
    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)


@case(3, 8)
class Einsum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.einsum("oi,bi->bo", self.a.weight, x).relu()
        return F.linear(input=x, weight=self.b.weight)


@case(6, 3, 8, layout="TB")
class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.zeros(*x.shape[:2], 6, dtype=x.dtype)
        for t in range(len(x)):
            y[t] = self.a(x[t])
        y.relu_()
        y += 0.1
        return self.b(y).mean(0)


@case(3, 6, 8, given=True)
class Positions(nn.Module):
    """Nothing tells tokens from samples: the layout must be given."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x).relu())


@case(3, 1, 6, 6)
class Maps(nn.Module):
    """Returns maps, in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> dict[str, Any]:
        y = self.a(x).relu()
        return {"maps": self.b(y), "more": (y, None)}


@case(3, 6)
class Scripted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.act = torch.jit.script(nn.Sequential(nn.Hardtanh(), nn.Identity()))

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.act(self.a(x)))


@case(5, 3, 4, layout="TB")
def spiking_gru() -> nn.Module:
    return First(rnn.SpikingGRU(4, 6, 1))


@case(5, 3, 4, layout="TB")
def spiking_lstm() -> nn.Module:
    return First(rnn.SpikingLSTM(4, 6, 2))


class First(nn.Module):
    """Returns the first of several outputs, behind a linear layer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.head = network, nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.network(x)[0])
