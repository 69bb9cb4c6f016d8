import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.markers import CARETDOWN

from snnprune import Connectivity, InputError
from snnprune.report import plot_comparison, plot_kept, plot_similarity, similarity
from snnprune.report.comparison.lines import _spread, line_styles
from snnprune.report.comparison.scale import Scale, robust_floor
from snnprune.report.style import BLUE, ORANGE

ACCURACIES = {"gmp": (0.98, 0.96), "set": (0.975, 0.95), "gmp-shuffled": (0.97, 0.93)}
TWO = {"fc1.weight": 0.005, "fc2.weight": 0.4}


def rows(accuracies: dict[str, tuple[float, ...]] = ACCURACIES, sides: tuple[str, ...] = ("snn", "ann")) -> list[dict]:
    """Three seeds 0.1 % apart for each method at the densities 10 %, 1 % and so on, and the dense network."""
    points = {"dense": {1.0: 0.985}} | {name: dict(zip((0.1, 0.01), y, strict=False)) for name, y in accuracies.items()}
    return [
        {"method": name, "side": side, "density": density, "seed": seed, "accuracy": accuracy + (seed - 1) / 1000}
        for side in sides
        for name, curve in points.items()
        for density, accuracy in curve.items()
        for seed in range(3)
    ]


def random(density: float, *, widths: tuple[int, int] = (30, 20)) -> Connectivity:
    return Connectivity(
        {"fc1.weight": torch.rand(20, widths[0]) < density, "fc2.weight": torch.rand(5, widths[1]) < density**0.5}
    )


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_text()]


def names(axes: Axes) -> list[str]:
    """Names beside a panel, from top to bottom."""
    beside = [text for text in axes.texts if text.get_position()[0] == 1.12]
    return [text.get_text() for text in sorted(beside, key=lambda text: -text.get_position()[1])]


def colors(figure: Figure) -> np.ndarray:
    return np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)


# --- Accuracy over density


def test_points_are_means_and_bars_are_standard_deviations_over_the_seeds():
    line, _, (bars,) = plot_comparison(rows()).axes[0].containers[0].lines
    assert line.get_ydata() == pytest.approx([98, 96])
    assert line.get_xdata() == pytest.approx([10, 1], rel=0.05)
    assert [np.ptp(segment[:, 1]) for segment in bars.get_segments()] == pytest.approx([0.2, 0.2])


def test_each_side_has_a_panel_and_both_have_the_same_axes():
    snn, ann = plot_comparison(rows(sides=("ann", "snn"))).axes
    assert [snn.get_title(loc="left"), ann.get_title(loc="left")] == [
        "Spiking network (SNN)", "Non-spiking network (ANN)",
    ]  # fmt: skip
    assert snn.get_ylim() == ann.get_ylim()
    assert [label.get_text() for label in snn.get_xticklabels()] == ["1%", "10%"]
    assert len(plot_comparison(rows(sides=("ann",))).axes) == 1


def test_the_dense_network_is_a_labelled_line_across_the_panel_with_a_band():
    (axes,) = plot_comparison(rows(sides=("snn",))).axes
    (line,) = [line for line in axes.lines if list(line.get_xdata()) == [0, 1]]
    (band,) = axes.patches
    assert line.get_ydata() == pytest.approx([98.5, 98.5])
    assert [band.get_y(), band.get_height()] == pytest.approx([98.4, 0.2])
    assert "dense  98.5%" in names(axes)


def test_names_are_in_the_order_of_the_accuracies_at_the_smallest_density():
    axes = plot_comparison(rows()).axes[0]
    assert names(axes) == ["dense  98.5%", "gmp  96.0%", "set  95.0%", "gmp-shuffled  93.0%"]


def test_the_names_of_24_methods_that_are_all_alike_do_not_overlap():
    figure = plot_comparison(rows({f"method{i}": (0.98, 0.97 + i / 1e5) for i in range(24)}))
    figure.draw_without_rendering()
    beside = [text for text in figure.axes[0].texts if text.get_position()[0] == 1.12]
    boxes = sorted((text.get_window_extent() for text in beside), key=lambda box: box.y0)
    assert len(boxes) == 25
    assert all(below.y1 < above.y0 + 1 for below, above in pairwise(boxes))
    assert boxes[0].y0 > 0
    assert boxes[-1].y1 < figure.bbox.y1


def test_the_bars_of_one_density_are_side_by_side():
    axes = plot_comparison(rows()).axes[0]
    places = [container.lines[0].get_xdata()[0] for container in axes.containers]
    assert len(set(places)) == 3
    assert max(places) / min(places) < 1.3


def test_names_are_a_row_apart_within_the_panel_and_close_to_their_lines():
    scale = Scale(floor=0, top=10, row=1, below=[])
    assert _spread([4.0, 4.0, 8.0], scale).tolist() == [3.5, 4.5, 8.0]
    assert _spread([0.0, 0.1, 0.2], scale).tolist() == [0.5, 1.5, 2.5]
    assert _spread([9.9, 9.9], scale).tolist() == [9.0, 10.0]


def test_controls_are_grey_and_dashed_and_no_two_lines_are_alike():
    controls = [f"gmp{i}{end}" for i in range(7) for end in ("-shuffled", "-scratch-e", "-scratch-b")]
    styles = line_styles([f"method{i}" for i in range(264)] + controls)
    assert len({str(style) for style in styles.values()}) == 264 + 21
    assert all(np.ptp(to_rgb(styles[name]["color"])) < 0.1 for name in controls)
    assert [name for name, style in styles.items() if style["linestyle"] == "dashed"] == controls


def test_a_collapsed_method_is_written_below_the_axis_instead_of_stretching_it():
    axes = plot_comparison(rows(ACCURACIES | {"synflow": (0.97, 0.1)})).axes[0]
    assert axes.get_ylim()[0] > 90
    assert [text for text in texts(axes) if "\N{DOWNWARDS ARROW}" in text] == ["\N{DOWNWARDS ARROW}10.0%"]
    assert axes.get_yticklabels()[-1].get_text() == "synflow"
    assert names(axes)[-1] == "synflow  10.0%"


def spread(method: str, accuracies: tuple[float, ...]) -> list[dict]:
    """A row for each accuracy, at 1 % on the spiking side."""
    return [
        {"method": method, "side": "snn", "density": 0.01, "seed": seed, "accuracy": accuracy}
        for seed, accuracy in enumerate(accuracies)
    ]


def test_a_bar_that_leaves_the_axis_is_cut_and_marked():
    figure = plot_comparison(rows(sides=("snn",)) + spread("wide", (0.98, 0.94, 0.90)))
    (axes,) = figure.axes
    floor = axes.get_ylim()[0]
    marks = [line for line in axes.lines if line.get_marker() == CARETDOWN and len(line.get_xdata())]
    assert [line.get_ydata().tolist() for line in marks] == [[floor]]
    _, _, (bars,) = axes.containers[-1].lines
    assert bars.get_segments()[0][:, 1] == pytest.approx([floor, 98])
    assert "a triangle: it continues below the axis" in figure.texts[1].get_text()


def test_no_bar_is_marked_where_all_are_whole():
    figure = plot_comparison(rows())
    assert not [line for line in figure.axes[0].lines if line.get_marker() == CARETDOWN and len(line.get_xdata())]
    assert "triangle" not in figure.texts[1].get_text()


def test_methods_can_be_chosen_and_have_their_colours_in_that_order():
    axes = plot_comparison(rows(), methods=["set", "gmp"]).axes[0]
    assert names(axes) == ["dense  98.5%", "gmp  96.0%", "set  95.0%"]
    colours = [to_hex(container.lines[0].get_color()).upper() for container in axes.containers]
    assert colours == [BLUE, ORANGE]
    assert axes.containers[0].lines[0].get_ydata() == pytest.approx([97.5, 95])


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (["gmp", "none"], "no method 'none' in these rows: choose from dense, gmp, set, gmp-shuffled"),
        ([], "no sparse network to draw: choose at least one method"),
        (["dense"], "no sparse network to draw"),
    ],
)
def test_methods_that_are_not_in_the_rows_are_refused(methods: list[str], message: str):
    with pytest.raises(InputError, match=message):
        plot_comparison(rows(), methods=methods)


def test_without_a_collapsed_method_there_is_nothing_below_the_axis():
    axes = plot_comparison(rows()).axes[0]
    assert not [text for text in texts(axes) if "below" in text]
    assert all(label.get_text().endswith("%") for label in axes.get_yticklabels())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=60).map(np.array))
def test_three_quarters_of_the_values_fill_a_quarter_of_the_axis(values: np.ndarray):
    floor, quartile = robust_floor(values), np.percentile(values, 25)
    assert floor in values
    assert np.mean(values >= floor) >= 0.7
    assert values.max() - floor <= max(4 * (values.max() - quartile), 1.5 + values.max() - quartile) + 1e-9


def test_a_method_that_stops_before_the_smallest_density_has_its_last_one_written():
    assert "set  95.0% at 10%" in names(plot_comparison(rows({"gmp": (0.98, 0.96), "set": (0.95,)})).axes[0])


def test_densities_that_miss_their_goal_by_a_little_are_one_point():
    results = [{**row, "density": row["density"] * (1 + row["seed"] / 100)} for row in rows() if row["density"] < 1]
    line = plot_comparison(results).axes[0].containers[0].lines[0]
    assert line.get_ydata() == pytest.approx([98, 96])


@pytest.mark.parametrize(
    "results",
    [
        rows({"a $odd$ _{name}": (0.5,)})[-1:],
        rows({"gmp": (0.9985, 0.9985)}),
        rows() + rows({}, sides=("ann",)),
        rows(sides=("snn",)) + rows({}, sides=("ann",)),
        rows({f"method{i}": (0.98, 0.001 + i / 100) for i in range(40)}),
    ],
    ids=["one row", "all alike", "dense twice", "a side without sparse networks", "all collapsed"],
)
def test_odd_comparisons_are_drawn(tmp_path: Path, results: list[dict]):
    plot_comparison(results, path=tmp_path / "a.png")
    assert min(imread(tmp_path / "a.png").shape[:2]) > 900


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([], "nothing to compare"),
        ([{**rows()[3], "side": "gpu"}], "must be one of snn, ann, found 'gpu'"),
        ([{"method": "gmp", "side": "snn", "density": 0.1, "seed": 0}], "row 0 has no accuracy; each row needs method"),
        ([{**rows()[3], "accuracy": 98.5}], r"accuracy of row 0 must be a share in \[0, 1\], found 98.5"),
        ([{**rows()[3], "accuracy": float("nan")}], "found nan"),
        ([rows()[3], {**rows()[3], "density": 0}], r"density of row 1 must be a share in \(0, 1\], found 0"),
        (rows({}), "all rows have density 1"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused(results: list[dict], message: str):
    with pytest.raises(InputError, match=message):
        plot_comparison(results)


# --- Densities of layers


def test_each_cell_shows_and_writes_the_density_of_a_layer():
    figure = plot_kept({"ann": {"gmp": TWO, "set": {"fc1.weight": 0.012, "fc2.weight": 1.0}}})
    axes = figure.axes[0]
    assert colors(figure) == pytest.approx(np.array([[0.5, 40], [1.2, 100]]))
    assert texts(axes) == ["0.5%", "40%", "1.2%", "100%"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["fc1", "fc2"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["gmp", "set"]


def test_both_sides_have_one_scale_of_colours():
    snn, ann, _ = plot_kept({"ann": {"gmp": TWO}, "snn": {"gmp": {"fc1.weight": 0.1, "fc2.weight": 1.0}}}).axes
    assert snn.get_title(loc="left") == "Spiking network (SNN)"
    assert snn.images[0].get_clim() == ann.images[0].get_clim()
    assert ann.images[0].get_clim()[1] == 100


def test_an_empty_layer_is_white_and_an_absent_one_grey():
    figure = plot_kept({"snn": {"gmp": {"fc1.weight": 0.0, "fc2.weight": 0.3}, "set": {"fc1.weight": 0.2}}})
    picture = figure.axes[0].images[0]
    shades = picture.to_rgba(picture.get_array())[..., :3]
    assert shades[0, 0].tolist() == [1, 1, 1]
    assert 0.8 < shades[1, 1].min() < 0.95
    assert texts(figure.axes[0]) == ["0%", "30%", "20%"]


@pytest.mark.parametrize(
    ("densities", "message"),
    [
        ({}, "nothing to compare"),
        ({"cpu": {"gmp": TWO}}, "must be one of snn, ann, found 'cpu'"),
        ({"snn": {"gmp": TWO}, "ann": {}}, "no layers of ann to plot"),
        ({"snn": {"gmp": {"fc1.weight": 40}}}, r"in \[0, 1\], but for gmp \(snn\) that of fc1.weight is 40"),
    ],
)
def test_densities_that_cannot_be_plotted_are_refused(densities: dict, message: str):
    with pytest.raises(InputError, match=message):
        plot_kept(densities)


# --- Similarity


def test_the_similarity_of_each_pair_is_its_jaccard_excess():
    masks = {str(density): random(density) for density in (0, 0, 0.01, 0.1, 0.1, 0.5, 0.9, 1)}
    masks |= {"none": random(0), "like 0.1": masks["0.1"]}
    expected = [[one.jaccard_excess(other) for other in masks.values()] for one in masks.values()]
    assert similarity(masks) == pytest.approx(np.array(expected), abs=1e-12)


@pytest.mark.parametrize(("count", "inches"), [(3, 4.4), (24, 6.0)])
@pytest.mark.parametrize("name", ["a", "a-method-with-a-very-long-name"])
def test_a_matrix_is_about_square_and_of_one_size_whatever_its_names_are(name: str, count: int, inches: float):
    figure = plot_similarity({"snn": {f"{name}{i} 0": random(0.2) for i in range(count)}})
    figure.canvas.draw()
    width, height = figure.axes[0].bbox.size / figure.dpi
    assert width == pytest.approx(inches, rel=0.1)
    assert height == pytest.approx(width, rel=0.1)


def test_the_similarity_of_a_layer_larger_than_a_chunk_is_exact():
    one, other = (Connectivity({"weight": torch.rand(3, 200_000) < 0.2}) for _ in range(2))
    found = similarity({"one": one, "other": other})
    assert found[0, 1] == pytest.approx(one.jaccard_excess(other), abs=1e-12)
    assert found[0, 1] == found[1, 0]


def test_the_similarity_of_random_masks_is_none_beyond_chance():
    found = similarity({str(i): random(0.2, widths=(3000, 2000)) for i in range(4)})
    assert np.abs(found[~np.eye(4, dtype=bool)]).max() < 0.02
    assert found.diagonal().min() > 0.5


def test_methods_are_blocks_with_one_name_each_and_lines_between_them():
    masks = {f"{method} {seed}": random(0.2) for method in ("gmp", "a b") for seed in range(3)} | {"dense": random(1)}
    axes = plot_similarity({"snn": masks}).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["gmp", "a b", "dense"]
    assert axes.get_yticks().tolist() == axes.get_xticks().tolist() == [1, 4, 6]
    assert [path.vertices[0, 1] for path in axes.collections[0].get_paths()] == [2.5, 5.5]


def test_the_matrix_is_drawn_as_given_without_its_diagonal():
    masks = {"gmp 0": random(0.2), "gmp 1": random(0.2), "set 0": random(0.4)}
    figure = plot_similarity({"ann": masks, "snn": {"gmp": random(0.1)}})
    snn, ann, bar = figure.axes
    shown = np.ma.filled(ann.images[0].get_array(), np.nan)
    off = ~np.eye(3, dtype=bool)
    assert shown[off] == pytest.approx(similarity(masks)[off])
    assert np.isnan(shown.diagonal()).all()
    assert snn.images[0].get_clim() == ann.images[0].get_clim()
    assert "beyond chance" in bar.get_ylabel()


def test_chance_is_the_middle_of_the_colours_only_where_similarities_lie_well_below_it():
    halves = {"a 0": torch.arange(9).view(3, 3) < 4, "b 0": torch.arange(9).view(3, 3) > 4}
    apart = {label: Connectivity({"w": mask}) for label, mask in halves.items()}
    low, high = plot_similarity({"snn": apart}).axes[0].images[0].get_clim()
    assert low == -high < 0
    alike = {"a 0": random(0.2)} | {f"b {i}": random(0.2) for i in range(2)}
    alike["b 1"] = alike["a 0"]
    picture = plot_similarity({"snn": alike}).axes[0].images[0]
    assert picture.get_clim()[0] == 0
    assert picture.get_clim()[1] == pytest.approx(similarity(alike)[0, 2])
    assert picture.cmap(0.0)[:3] == (1, 1, 1)


def test_sixty_labels_stay_on_the_picture_and_apart():
    figure = plot_similarity({"snn": {f"gmp-scratch-{i // 3} {i % 3}": random(0.2) for i in range(60)}})
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert len(boxes) == 20
    assert all(above.y0 > below.y1 for above, below in pairwise(boxes))
    assert min(label.get_window_extent().y0 for label in figure.axes[0].get_xticklabels()) > 0
    assert min(box.x0 for box in boxes) > 0


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({}, "nothing to compare"),
        ({"SNN": {"gmp": random(0.1)}}, "must be one of snn, ann, found 'SNN'"),
        ({"snn": {}}, "no connectivities to compare"),
        (
            {"snn": {"gmp 0": random(0.1), "gmp 1": random(0.1, widths=(30, 9))}},
            "fc2.weight is (5, 20) in 'gmp 0' and (5, 9) in 'gmp 1': compare connectivities of one network's shape",
        ),
        ({"ann": {"a": random(0.1), "b": Connectivity({"x": torch.eye(2) > 0})}}, "(20, 30) in 'a' and absent in 'b'"),
    ],
)
def test_connectivities_that_cannot_be_compared_are_refused(masks: dict, message: str):
    with pytest.raises(InputError, match=re.escape(message)):
        plot_similarity(masks)


# --- All of them


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_equal_input_gives_equal_bytes_and_titles_are_shown(tmp_path: Path, suffix: str):
    masks = {"snn": {"gmp 0": random(0.1), "gmp 1": random(0.1)}}
    for plot, shown in ((plot_comparison, rows()), (plot_kept, {"snn": {"gmp": TWO}}), (plot_similarity, masks)):
        for name, title in {"a": "", "b": "", "c": "Costs $5 or $6"}.items():
            assert isinstance(plot(shown, title=title, path=tmp_path / f"{name}.{suffix}"), Figure)
        first, second, third = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in "abc")
        assert first == second
        assert first != third


@pytest.mark.parametrize("plot", [plot_comparison, plot_kept, plot_similarity])
def test_an_unknown_suffix_is_refused_first(tmp_path: Path, plot: Callable[..., Figure]):
    with pytest.raises(InputError, match=r"choose one of \.png, \.svg, \.pdf$"):
        plot([] if plot is plot_comparison else {}, path=tmp_path / "a.eps")
    assert not list(tmp_path.iterdir())
