import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from torch import Tensor, nn

from snnprune import Connectivity, InputError, geometry
from snnprune.report import plot_connectivity, plot_layers, plot_run, plot_training, save_figure
from snnprune.report.run import figures

METRICS = [
    {"epoch": 1, "density": 1.0, "train_loss": 2.0, "train_accuracy": 0.3},
    {"epoch": 2, "density": 0.3, "train_loss": 1.0, "train_accuracy": 0.8, "evaluation_accuracy": 0.75},
    {"epoch": 3, "density": 0.03, "train_loss": 0.9, "train_accuracy": 0.9, "evaluation_accuracy": None},
]
TWO = Connectivity({"fc1.weight": torch.eye(4, 6, dtype=torch.bool), "fc2.weight": torch.ones(2, 4, dtype=torch.bool)})


def mask(*shape: int, density: float = 0.3) -> Tensor:
    return torch.rand(shape) < density


def drawn(path: Path) -> np.ndarray:
    """The picture, after making sure that it is one of a useful size."""
    picture = imread(path)
    assert picture.shape[0] >= 300
    assert picture.shape[1] >= 1000
    assert picture[..., :3].std() > 0.02
    return picture


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What is given to `imshow`, in order."""
    shown, imshow = [], Axes.imshow

    def note(axes: Axes, values: np.ndarray, **options):
        shown.append(np.ma.filled(np.ma.asarray(values, dtype=float), np.nan))
        return imshow(axes, values, **options)

    monkeypatch.setattr(Axes, "imshow", note)
    return shown


def test_the_map_of_a_linear_layer_is_its_mask(tmp_path: Path, images: list[np.ndarray]):
    expected = mask(3, 8)
    plot_connectivity(expected, name="fc1", image_shape=(2, 2, 2), path=tmp_path / "a.png")
    drawn(tmp_path / "a.png")
    assert images[0].tolist() == expected.float().tolist()
    assert images[1].tolist() == expected.sum(0).view(2, 2, 2).sum(0).float().tolist()


def test_the_map_of_a_large_layer_shows_densities(tmp_path: Path, images: list[np.ndarray]):
    large = torch.zeros(1400, 700, dtype=torch.bool)
    large[:4, :2] = torch.tensor([[True, True], [True, False]]).repeat(2, 1)
    plot_connectivity(large, name="fc1", path=tmp_path / "a.png")
    drawn(tmp_path / "a.png")
    assert images[0].shape == (350, 350)
    assert images[0][0, 0] == 0.75
    assert images[0].sum() == 0.75


def test_the_axes_of_a_map_count_units_and_the_last_blocks_reach_beyond_them():
    small = plot_connectivity(mask(3, 8), name="fc1").axes[0]
    assert small.images[0].get_extent() == [-0.5, 7.5, 2.5, -0.5]
    large = plot_connectivity(mask(701, 1399), name="fc1").axes[0]  # 234 rows of 3 x 4 blocks, 350 columns of them
    assert large.images[0].get_extent() == [-0.5, 1399.5, 701.5, -0.5]
    assert (large.get_xlim(), large.get_ylim()) == ((-0.5, 1398.5), (700.5, -0.5))


def test_fans_are_drawn_beside_the_map_as_means_of_its_blocks():
    which = torch.zeros(3, 703, dtype=torch.bool)
    which[0] = True
    which[1, :6] = True
    _, above, beside, *_ = plot_connectivity(which, name="fc1").axes
    (fan_out,), (fan_in,) = above.patches, beside.patches
    values, edges, _ = fan_out.get_data()
    assert values.tolist() == [2.0] * 2 + [1.0] * 233  # three inputs each, the last one alone
    assert edges[[0, 1, -2, -1]].tolist() == [-0.5, 2.5, 701.5, 702.5]
    values, edges, _ = fan_in.get_data()
    assert (values.tolist(), edges.tolist()) == ([703, 6, 0], [-0.5, 0.5, 1.5, 2.5])
    assert above.get_ylim() == pytest.approx((0, 2.16))
    assert beside.get_xlim() == pytest.approx((0, 1.08 * 703))
    empty = plot_connectivity(which & False, name="fc1").axes
    assert empty[1].get_ylim() == empty[2].get_xlim() == pytest.approx((0, 1.08))


def test_a_sparse_map_uses_the_whole_range_of_colours_and_its_scale_is_labelled():
    figure = plot_connectivity(torch.rand(2000, 3000) < 0.001, name="fc1")
    picture, bar = figure.axes[0].images[0], figure.axes[3]
    densities = np.asarray(picture.get_array())
    assert picture.get_clim()[1] < 0.1
    assert (densities >= picture.get_clim()[1]).sum() > 10
    assert bar.get_ylabel() == "density in bin (6 x 9 synapses)"
    assert bar.get_yticklabels()[0].get_text() == "0%"


@pytest.mark.parametrize(
    ("shape", "image", "label"),
    [((5, 9), (1, 3, 3), "synapses from the pixel"), ((4, 4, 7, 7), None, "density"), ((2, 2, 3, 3), None, None)],
)
def test_the_colours_of_pixels_and_of_large_kernels_are_labelled(shape: tuple, image: tuple | None, label: str | None):
    figure = plot_connectivity(mask(*shape), name="layer", image_shape=image)
    (panel,) = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_ylabel() for axes in panel.child_axes] == ([label] if label else [])


def test_the_map_of_a_convolution_shows_shares_of_kernels(tmp_path: Path, images: list[np.ndarray]):
    expected = torch.zeros(2, 1, 2, 2, dtype=torch.bool)
    expected[0, 0, 0] = True
    expected[1, 0, 0, 0] = True
    plot_connectivity(expected, name="conv1", image_shape=(1, 1, 1), path=tmp_path / "a.png")
    drawn(tmp_path / "a.png")
    assert images[0].tolist() == [[0.5], [0.25]]
    assert images[1].tolist() == [[1, 0.5], [0, 0]]


def test_the_map_of_weights_shows_means_of_existing_synapses(tmp_path: Path, images: list[np.ndarray]):
    expected = torch.tensor([[[True, True]], [[False, True]], [[False, False]]])
    weights = torch.tensor([[[1.0, 2.0]], [[9.0, -4.0]], [[9.0, 9.0]]], dtype=torch.bfloat16)
    plot_connectivity(expected, name="conv1", weights=weights, path=tmp_path / "a.png")
    drawn(tmp_path / "a.png")
    assert np.nan_to_num(images[0]).tolist() == [[1.5], [-4.0], [0.0]]
    assert np.isnan(images[0]).tolist() == [[False], [False], [True]]


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (3, 2, 1, 1), (2, 3, 5), (2, 2, 3, 3, 3)])
@pytest.mark.parametrize("density", [0, 1])
def test_odd_layers_are_drawn(tmp_path: Path, shape: tuple[int, ...], density: float):
    plot_connectivity(mask(*shape, density=density), name="a $odd$ _{name}", path=tmp_path / "a.png")
    picture = imread(tmp_path / "a.png")
    assert min(picture.shape[:2]) > 1000
    assert picture.min() < 0.5


@pytest.mark.parametrize(
    "metrics",
    [METRICS, METRICS[:1], [{**row, "density": 0.0} for row in METRICS], [{**METRICS[1], "density": 1e-4}] * 60],
)
def test_training_is_drawn(tmp_path: Path, metrics: list[dict]):
    plot_training(metrics, path=tmp_path / "a.png")
    drawn(tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(("last", "expected"), [(0.02, [2, 5, 10, 20, 50, 100]), (0.001, [0.1, 1, 10, 100])])
def test_a_density_of_few_decades_has_more_numbers(last: float, expected: list[float]):
    upper = plot_training([{**METRICS[0]}, {**METRICS[0], "epoch": 2, "density": last}]).axes[0]
    low, high = upper.get_ylim()
    assert (low, high) == pytest.approx((100 * last / 1.7, 150))
    assert [tick for tick in upper.get_yticks() if low <= tick <= high] == pytest.approx(expected)


def test_the_course_of_training_shows_held_out_accuracy_where_it_is_known():
    lower = plot_training(METRICS).axes[1]
    train, held_out = lower.get_lines()
    assert [text.get_text() for text in lower.get_legend().get_texts()] == ["training data", "held-out data"]
    assert train.get_ydata() == pytest.approx([30, 80, 90])
    assert (held_out.get_xdata().tolist(), held_out.get_ydata().tolist()) == ([2], [75])
    assert len(plot_training(METRICS[:1]).axes[1].get_lines()) == 1


def test_the_text_of_a_bar_does_not_touch_the_line_of_the_whole_network():
    connectivity = Connectivity({"a": torch.arange(1000).view(10, 100) < 25, "b": torch.arange(100).view(10, 10) < 38})
    left = plot_layers(connectivity).axes[0]
    line = left.get_lines()[0].get_xdata()[0]
    starts = [text.xy[0] for text in left.texts]
    assert starts == pytest.approx([line, 38])
    assert line == pytest.approx(100 * connectivity.density)


@pytest.mark.parametrize("density", [0, 0.5, 1])
def test_a_single_layer_is_drawn(tmp_path: Path, density: float):
    plot_layers(Connectivity({"weight": mask(5, 7, density=density)}), path=tmp_path / "a.png")
    assert len(drawn(tmp_path / "a.png")) < 600


def test_many_layers_make_a_taller_picture(tmp_path: Path):
    plot_layers(Connectivity({f"conv{i}.weight": mask(i, 7, 3, 3) for i in range(1, 30)}), path=tmp_path / "a.png")
    assert len(drawn(tmp_path / "a.png")) > 2000


DRAW: dict[str, Callable[[Path | None, bool], Figure]] = {
    "training": lambda path, other: plot_training(METRICS[: 2 + other], path=path),
    "layers": lambda path, other: plot_layers(TWO if other else Connectivity(dict(list(TWO.items())[:1])), path=path),
    "linear": lambda path, other: plot_connectivity(torch.eye(4) > other, name="fc", path=path),
    "large": lambda path, other: plot_connectivity(torch.eye(1000, 2000) > other, name="fc", path=path),
    "convolution": lambda path, other: plot_connectivity(torch.eye(9).view(3, 3, 3, 3) > other, name="conv", path=path),
}


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
@pytest.mark.parametrize("kind", DRAW)
def test_equal_input_gives_equal_bytes_and_other_input_another_picture(tmp_path: Path, kind: str, suffix: str):
    for name, other in {"a": False, "b": False, "c": True}.items():
        DRAW[kind](tmp_path / f"{name}.{suffix}", other)
    first, second, third = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in "abc")
    assert first == second
    assert first != third
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix])
    assert not re.search(rb"matplotlib (v|version|\d)|creationdate|<dc:date>|software", first.lower())


@pytest.mark.parametrize("kind", DRAW)
def test_the_title_stands_above_its_numbers_and_these_above_the_panels(kind: str):
    figure = DRAW[kind](None, False)
    figure.canvas.draw()
    title, numbers = (text.get_window_extent() for text in figure.texts[:2])
    assert figure.bbox.y1 > title.y1
    assert title.y0 >= numbers.y1
    assert numbers.y0 >= max(axes.get_tightbbox().y1 for axes in figure.axes)
    assert 0 < title.x0 == pytest.approx(numbers.x0, abs=2)
    assert max(title.x1, numbers.x1) < figure.bbox.x1


@pytest.mark.parametrize("kind", DRAW)
def test_the_figure_is_returned_and_written_only_where_there_is_a_path(tmp_path: Path, kind: str, monkeypatch):
    monkeypatch.chdir(tmp_path)
    figure = DRAW[kind](None, False)
    assert not list(tmp_path.iterdir())
    DRAW[kind](tmp_path / "A.PNG", False)
    save_figure(tmp_path / "b.png", figure)
    assert (tmp_path / "A.PNG").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.png.txt", ".svg"])
@pytest.mark.parametrize("kind", DRAW)
def test_an_unknown_suffix_is_refused_before_anything_is_drawn(tmp_path: Path, kind: str, name: str, monkeypatch):
    monkeypatch.setattr(Figure, "__init__", lambda *_, **__: pytest.fail("drawn"))
    with pytest.raises(InputError, match=r"is no format of a picture: choose one of \.png, \.svg, \.pdf$") as error:
        DRAW[kind](tmp_path / name, False)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_run_is_drawn_into_its_folder(tmp_path: Path, images: list[np.ndarray]):
    connectivity = Connectivity({"fc1.weight": mask(4, 6), "fc2.weight": mask(6, 4), "fc3.weight": mask(2, 6)})
    paths = plot_run(tmp_path / "new" / "run", metrics=METRICS, connectivity=connectivity, image_shape=(1, 2, 3))
    names = ["training.png", "layers.png", "connectivity-fc1.png", "connectivity-fc2.png", "connectivity-fc3.png"]
    assert [path.name for path in paths] == names
    assert sorted(names) == sorted(path.name for path in (tmp_path / "new" / "run").iterdir())
    assert [image.shape for image in images] == [(4, 6), (2, 3), (6, 4), (2, 6)]  # fc3 does not see the image


def test_a_transposed_convolution_is_drawn_with_its_outputs_as_rows(tmp_path: Path, images: list[np.ndarray]):
    network = nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False)  # weight: (in, out / groups, *kernel)
    connectivity = Connectivity.dense(network)
    plot_run(tmp_path, metrics=METRICS, connectivity=connectivity, geometries=geometry(network))
    assert images[0].shape == (6, 2)


@settings(max_examples=200, deadline=None)
@given(first=st.text(min_size=1), second=st.text(min_size=1, max_size=300))
def test_file_names_are_safe_and_differ(first: str, second: str):
    names = [figures._file_part(name) for name in (first, second)]
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") for name in names)
    assert max(map(len, names)) < 100
    assert (names[0] == names[1]) == (first == second)
    assert figures._file_part("layer1.0.conv_a") == "layer1.0.conv_a"


@pytest.mark.parametrize("wrong", [torch.ones(2, 2), torch.ones(3) > 0, torch.ones(0, 3) > 0])
def test_what_is_no_mask_is_refused(tmp_path: Path, wrong: Tensor):
    with pytest.raises(InputError, match=r"the mask of fc1 must be torch\.bool"):
        plot_connectivity(wrong, name="fc1", path=tmp_path / "a.png")


def test_weights_of_another_shape_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"weights of fc1 must have the shape of its mask, \(2, 3\), found \(3, 2\)"):
        plot_connectivity(mask(2, 3), name="fc1", weights=torch.ones(3, 2), path=tmp_path / "a.png")


def test_metrics_that_cannot_be_plotted_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no metrics to plot"):
        plot_training([], path=tmp_path / "a.png")
    with pytest.raises(InputError, match="row 1 has no train_accuracy"):
        plot_training([METRICS[0], {"epoch": 2, "density": math.nan}], path=tmp_path / "a.png")


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot make the folder"):
        plot_run(tmp_path / "file", metrics=METRICS, connectivity=TWO)
    with pytest.raises(InputError, match="cannot write"):
        plot_layers(TWO, path=tmp_path / "missing" / "a.png")


def test_the_library_itself_does_not_import_matplotlib():
    code = """
import sys, snnprune
print("matplotlib" in sys.modules)
import snnprune.report
print("matplotlib.pyplot" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
