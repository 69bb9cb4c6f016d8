"""Data sets, their splits and their batches."""

import builtins
import importlib
import sys
import urllib.error
import urllib.request
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snnprune.errors import InputError
from snnprune.training import data as module
from snnprune.training.augment import crop_flip
from snnprune.training.data import Split, batches, epoch_order, load, names


@pytest.fixture
def torchvision():
    """torchvision, or skip: builds without its extensions warn or fail on import."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module("torchvision")
        except (ImportError, RuntimeError, OSError) as error:
            pytest.skip(f"torchvision is missing: {error}")


def numbered(count: int) -> Split:
    """Images that hold their own number, as do their labels."""
    numbers = torch.arange(count)
    return Split(numbers.to(torch.uint8).view(-1, 1, 1, 1), numbers)


def labels_of(*args, **options) -> list[list[int]]:
    return [labels.tolist() for _, labels in batches(*args, **options)]


def test_digits():
    data = load("digits")
    assert (len(data.train), len(data.evaluation), data.evaluated_on) == (1437, 360, "test")
    assert (data.shape, data.classes, data.train.labels.dtype) == ((1, 8, 8), 10, torch.int64)
    assert data.train.images.dtype == torch.uint8
    assert (data.train.images.min(), data.train.images.max()) == (0, 255)
    assert data.evaluation.labels.bincount().tolist() == pytest.approx([36] * 10, abs=2)


def test_digits_split_is_fixed_and_complete():
    data, again = load("digits"), load("digits", seed=5)
    assert torch.equal(data.evaluation.images, again.evaluation.images)
    total = data.train.labels.bincount() + data.evaluation.labels.bincount()
    assert total.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # those of the whole set
    assert torch.equal(data.train.labels, load("digits").train.labels)


def test_prepared_images_have_mean_0_and_deviation_1():
    data = load("digits")
    images = data.prepare(data.train.images)
    assert images.dtype == torch.float32
    assert images.mean().item() == pytest.approx(0, abs=1e-3)
    assert images.std().item() == pytest.approx(1, abs=1e-3)


def test_augmentation_fills_in_black():
    data = load("digits")
    images = data.prepare(torch.full((64, 1, 8, 8), 255, dtype=torch.uint8), augment=crop_flip)
    black, white = (0 - data.mean) / data.std, (1 - data.mean) / data.std
    assert torch.equal(images.unique(), torch.cat([black, white]))


def test_validation_holds_training_images_out():
    whole, data = load("digits"), load("digits", validation=200)
    assert (len(data.train), len(data.evaluation), data.evaluated_on) == (1237, 200, "validation")
    parts = torch.cat([data.train.images, data.evaluation.images]).flatten(1)
    assert torch.equal(parts.unique(dim=0), whole.train.images.flatten(1).unique(dim=0))
    total = data.train.labels.bincount() + data.evaluation.labels.bincount()
    assert torch.equal(total, whole.train.labels.bincount())


def test_validation_split_depends_on_its_seed_alone():
    torch.manual_seed(1)
    first = load("digits", validation=200)
    torch.manual_seed(2)
    assert torch.equal(load("digits", validation=200).evaluation.images, first.evaluation.images)
    assert not torch.equal(load("digits", validation=200, seed=1).evaluation.images, first.evaluation.images)


def test_validation_does_not_read_the_test_set(monkeypatch):
    read = []
    monkeypatch.setattr(module, "read", lambda *_args, train: read.append(train) or numbered(10))
    load("digits", validation=4)
    assert read == [True]
    load("digits")
    assert read == [True, True, False]


@pytest.mark.parametrize("count", [-1, 1437, 5000])
def test_refuses_impossible_validation(count):
    with pytest.raises(InputError, match=f"validation must be 1 to 1436, of 1437 training images; found {count}"):
        load("digits", validation=count)


def test_refuses_unknown_data():
    assert names() == ["digits", "mnist", "fashion-mnist", "cifar10", "cifar100"]
    with pytest.raises(InputError, match="unknown data 'svhn': known are digits, mnist"):
        load("svhn")


@pytest.mark.parametrize(("error", "message"), [(ImportError, "pip install snnprune"), (RuntimeError, "does not fit")])
def test_refuses_without_torchvision(monkeypatch, tmp_path, error, message):
    original = builtins.__import__

    def broken(name, *args, **kwargs):
        if name.startswith("torchvision"):
            raise error("operator torchvision::nms does not exist")
        return original(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(InputError, match=message) as caught:
        load("mnist", root=tmp_path, download=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mnist", "cifar100"])
@pytest.mark.usefixtures("torchvision")
def test_refuses_missing_files(monkeypatch, tmp_path, name):
    monkeypatch.setenv("SNNPRUNE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="drop --no-download to download it, or set --data-root") as caught:
        load(name, download=False)
    assert str(tmp_path / "nowhere") in str(caught.value)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
@pytest.mark.usefixtures("torchvision")
def test_refuses_when_offline(monkeypatch, tmp_path, name):

    def unreachable(*_args, **_kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    with pytest.raises(InputError, match=r"no route to host.*check the connection") as caught:
        load(name, root=tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("torchvision")
@pytest.mark.parametrize(("download", "message"), [(False, "missing or incomplete"), (True, "or read there")])
def test_refuses_damaged_files(tmp_path, download, message):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{part}-ubyte").write_bytes(b"\0\0\x08\x03 cut off")
    with pytest.raises(InputError, match=message):
        load("mnist", root=tmp_path, download=download)


@pytest.mark.usefixtures("torchvision")
def test_never_unpickles_files_that_are_not_the_published_ones(monkeypatch, tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]:
        (folder / name).write_bytes(b"cos\nabort\n(tR.")
    monkeypatch.setattr("pickle.load", lambda *_args, **_kwargs: pytest.fail("unpickled"))
    with pytest.raises(InputError, match="missing or incomplete"):
        load("cifar10", root=tmp_path, download=False)


@pytest.mark.parametrize(
    ("name", "shape", "train", "first"),
    [("mnist", (1, 28, 28), 60000, 5), ("fashion-mnist", (1, 28, 28), 60000, 9), ("cifar10", (3, 32, 32), 50000, 6)],
)
@pytest.mark.usefixtures("torchvision")
def test_real_data(data_root, name, shape, train, first):
    data = load(name, root=data_root, download=False)
    assert (data.shape, len(data.train), len(data.evaluation), data.classes) == (shape, train, 10000, 10)
    assert data.train.labels[0] == first
    images = data.prepare(data.train.images[:5000])
    assert images.mean((0, 2, 3)).abs().max() < 0.05
    assert (images.std((0, 2, 3)) - 1).abs().max() < 0.35  # CIFAR's usual deviations are means over images


@given(count=st.integers(1, 60), seed=st.integers(0, 2**40), epoch=st.integers(0, 5000))
@settings(max_examples=30, deadline=None)
def test_order_is_a_permutation_that_depends_on_its_arguments_alone(count, seed, epoch):
    order = epoch_order(count, seed, epoch)
    torch.manual_seed(epoch)
    assert order.sort().values.tolist() == list(range(count))
    assert torch.equal(epoch_order(count, seed, epoch), order)


def test_epochs_and_seeds_differ():
    orders = [tuple(epoch_order(50, seed, epoch).tolist()) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == 9
    for seed, epoch in ((-1, 0), (0, -1)):
        with pytest.raises(InputError, match="must be 0 or more"):
            epoch_order(5, seed, epoch)


def test_training_leaves_the_last_incomplete_batch_out():
    order = torch.tensor([4, 2, 0, 1, 3])
    assert labels_of(numbered(5), 2, order=order) == [[4, 2], [0, 1]]
    assert labels_of(numbered(5), 2, order=order[1::2]) == [[2, 1]]  # one process's share
    with pytest.raises(InputError, match="batch size 6 is more than the 5 training images"):
        batches(numbered(5), 6, order=order)


def test_evaluation_keeps_the_last_incomplete_batch():
    assert labels_of(numbered(5), 2) == [[0, 1], [2, 3], [4]]
    assert labels_of(numbered(5), 9) == [[0, 1, 2, 3, 4]]
    with pytest.raises(InputError, match="batch_size must be 1 or more, found 0"):
        batches(numbered(5), 0)


@given(count=st.integers(1, 40), size=st.integers(1, 12), start=st.integers(0, 8), training=st.booleans())
@settings(max_examples=40, deadline=None)
def test_starting_in_the_middle_gives_the_remaining_batches(count, size, start, training):
    order = epoch_order(count, 0, 3) if training and count >= size else None
    whole = labels_of(numbered(count), size, order=order)
    assert labels_of(numbered(count), size, order=order, start=start) == whole[start:]


def test_images_are_prepared_and_keep_their_labels():
    cut = list(batches(numbered(9), 4, order=epoch_order(9, 0, 0), prepare=lambda images: images.double() + 1))
    assert len(cut) == 2
    for images, labels in cut:
        assert images.shape == (4, 1, 1, 1)
        assert images.flatten().tolist() == [label + 1 for label in labels.tolist()]


def test_data_that_do_not_fit_stay_on_the_host(monkeypatch):
    split, pinned = numbered(100), []  # 100 bytes of images, 800 of labels, twice
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self) or self)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (3600, 3600))
    placed = module._to_device((split, split), torch.device("cuda"))
    assert [part.images.device.type for part in placed] == ["cpu", "cpu"]
    assert len(pinned) == 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("fits", [True, False])
def test_batches_do_not_wait_for_the_gpu(monkeypatch, fits):
    if not fits:
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (0, 0))
    data = load("digits", device="cuda")
    order = epoch_order(len(data.train), 0, 0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        cut = list(batches(data.train, 128, device="cuda", order=order, prepare=data.prepare))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert data.train.images.is_cuda == fits
    assert torch.equal(torch.cat([labels for _, labels in cut]).cpu(), data.train.labels.cpu()[order[: len(cut) * 128]])
