"""Films and their pictures, from numbers that are made up."""

import math
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from PIL import Image, ImageSequence

from snnprune import InputError
from snnprune.report import Footage, plot_film, plot_hidden, plot_strip, plot_turnover
from snnprune.report.film.film import palette
from snnprune.report.film.footage import ABSENT, CAME, STAYED, TRIED, WENT
from snnprune.report.film.gif import _paletted, make_palette, write_gif
from snnprune.report.film.hidden import _cropped
from snnprune.report.film.scenes import COLORS, WORDS, choose_neurons, pixels, tiles, whole_map
from snnprune.report.film.screen import Screen, progress
from snnprune.report.film.turnover import short

PLOTS: dict[str, Callable[..., object]] = {
    "film.gif": plot_film,
    "strip.png": plot_strip,
    "turnover.png": plot_turnover,
    "hidden.png": plot_hidden,
}
BINS = 320


def footage(*, frames: int = 4, shape: tuple[int, int] = (6, 12), layers: int = 2, seed: int = 0, **other) -> Footage:
    """A film in which synapses come and go at random until the last frame but one."""
    draw = np.random.default_rng(seed)
    masks = draw.random((frames, *shape)) < 0.4
    masks[-1] = masks[-2] if frames > 1 else masks[-1]
    before = np.concatenate([masks[:1], masks[:-1]])
    tries = ~masks & ~before & (draw.random(masks.shape) < 0.3)
    tries[[0, -1]] = False

    def count(which: np.ndarray) -> np.ndarray:
        return which.sum(axis=(1, 2))[:, None].repeat(layers, axis=1)

    values = {
        "title": "a $method$ trains a_net on data",
        "layers": tuple(f"fc{number}.weight" for number in range(1, layers + 1)),
        "prunable": np.full(layers, math.prod(shape)),
        "steps": np.arange(frames) * 7 + 1,
        "steps_per_epoch": 10,
        "accuracy": np.array([math.nan, *[0.5] * (frames - 1)]),
        "final_accuracy": 0.9,
        "evaluated_on": "test",
        "survived": count(masks & before),
        "pruned": count(before & ~masks),
        "regrown": count(masks & ~before),
        "tried": count(tries),
        "layer": "fc1.weight",
        "shape": shape,
        "image": (1, 3, shape[1] // 3),
        "masks": np.packbits(masks.reshape(frames, -1), axis=1),
        "tries": np.packbits(tries.reshape(frames, -1), axis=1),
        "quantity": "strength",
        "edges": np.arange(-BINS, BINS + 1) * np.full((layers, 1), 0.01),
        "counts": draw.poisson(np.exp(-(((np.arange(2 * BINS) - BINS) / 40) ** 2)), (frames, layers, 2 * BINS)),
        "zone": np.full(frames, math.nan),
        "fixed": np.arange(frames) >= 2,
    }
    return Footage(**values | other)


FILM = footage()
KINDS = {
    "pixels": FILM,
    "channels": footage(image=(2, 3, 2)),
    "no image": footage(image=()),
    "large": footage(image=(), shape=(500, 1300)),
    "one frame": footage(frames=1),
    "one synapse": footage(shape=(1, 1), image=(1, 1, 1)),
    "many layers": footage(layers=5),
    "zone": footage(quantity="hidden", zone=np.array([0, 0.1, 0.2, math.nan])),
    "weights": footage(quantity="weight", fixed=np.zeros(4, dtype=bool)),
    "nothing": replace(
        FILM,
        **{name: 0 * getattr(FILM, name) for name in ("masks", "tries", "survived", "pruned", "regrown", "tried")},
        counts=0 * FILM.counts,
        final_accuracy=math.nan,
        accuracy=np.full(4, math.nan),
    ),
}


def paint(kind: int) -> list[float]:
    return list(to_rgb(COLORS.get(kind, "white")))


def frames_of(path: Path) -> list[np.ndarray]:
    with Image.open(path) as image:
        return [np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]


def by_hand() -> Footage:
    """Two neurons with four pixels each; in the second frame one synapse of every kind."""
    masks = np.array([[[1, 1, 0, 0], [0, 0, 0, 0]], [[1, 0, 1, 0], [0, 0, 0, 0]]], dtype=bool)
    tries = np.zeros_like(masks)
    tries[1, 0, 3] = True
    packed = {name: np.packbits(bits.reshape(2, -1), axis=1) for name, bits in (("masks", masks), ("tries", tries))}
    return footage(frames=2, shape=(2, 4), image=(1, 2, 2), **packed)


def test_changes_by_hand():
    film = by_hand()
    assert film.changes(0).tolist() == [[STAYED, STAYED, ABSENT, ABSENT], [ABSENT] * 4]
    assert film.changes(1).tolist() == [[STAYED, WENT, CAME, TRIED], [ABSENT] * 4]


def test_scenes_by_hand():
    film = by_hand()
    assert choose_neurons(film, 5).tolist() == [0, 1]
    assert choose_neurons(film, 1).tolist() == [0]
    scene = tiles(film, 1, np.array([0, 1]), 2)
    assert scene.shape == (24, 49, 3)  # pixels are 12 x 12, a line is between the tiles
    corners = [scene[row, column].tolist() for row in (0, 23) for column in (0, 23)]
    assert corners == [paint(kind) for kind in (STAYED, WENT, CAME, TRIED)]
    assert scene[:, 25:].min() == 1
    colors, darkest = pixels(film, 1)
    assert darkest == 1
    assert (colors[0, 0] == colors[1, 0]).all()
    assert colors[0, 1].tolist() == colors[1, 1].tolist() == [1, 1, 1]
    assert whole_map(film, 1, limit=(9, 9))[0].tolist() == pytest.approx(
        np.array([paint(kind) for kind in (STAYED, WENT, CAME, TRIED)])
    )


def test_a_block_of_a_map_has_the_mean_colour_of_its_cells():
    film = by_hand()
    shown = whole_map(film, 1, limit=(2, 2))
    half = [(one + two) / 2 for one, two in zip(paint(STAYED), paint(WENT), strict=True)]
    assert shown[0, 0].tolist() == pytest.approx(half)
    assert shown[1].min() == 1
    assert whole_map(film, 0, limit=(1, 2))[0, 0].tolist() == pytest.approx(
        paint(STAYED)
    )  # strengthened: half is empty


def test_neurons_that_end_without_a_synapse_are_shown_only_where_others_are_missing():
    masks = np.zeros((1, 6, 12), dtype=bool)
    masks[0, [1, 4, 5], :2] = True
    masks[0, 4] = True
    film = footage(frames=1, masks=np.packbits(masks.reshape(1, -1), axis=1))
    assert choose_neurons(film, 2).tolist() == [4, 5]
    assert choose_neurons(film, 3).tolist() == [4, 1, 5]
    assert choose_neurons(film, 5).tolist() == [4, 1, 5, 0, 2]


def test_what_is_saved_is_what_was_there(tmp_path: Path):
    FILM.save(tmp_path / "film.npz")
    found = Footage.load(tmp_path / "film.npz")
    for entry in fields(Footage):
        expected, there = getattr(FILM, entry.name), getattr(found, entry.name)
        assert type(expected) is type(there)
        assert np.array_equal(np.asarray(expected), np.asarray(there), equal_nan=np.asarray(expected).dtype.kind == "f")
    found.save(tmp_path / "again.npz")
    assert (tmp_path / "film.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    footage(image=()).save(tmp_path / "film.npz")
    assert Footage.load(tmp_path / "film.npz").image == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.npz", "film.npz"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"steps": FILM.steps[:2]}, r"steps has shape \(2,\), expected \(4,\)"),
        ({"masks": FILM.masks[:, :3]}, r"masks has shape \(4, 3\), expected \(4, 9\)"),
        ({"layer": "fc9.weight"}, "4 frames of fc9.weight in a network of fc1.weight, fc2.weight"),
        ({"title": np.array([object()])}, "is not a film of snnprune, or it is damaged"),
        ({"title": np.array(["a"])}, "title is <U1 of shape"),
        ({"steps": FILM.steps.astype(float)}, "steps is float64"),
        ({"masks": FILM.masks.astype(np.uint16)}, "masks is uint16, expected uint8"),
        ({"fixed": FILM.fixed.astype(int)}, "fixed is int64"),
        ({"counts": FILM.counts.astype(">i8")}, "counts is >i8"),
        ({"more": np.zeros(3)}, "more is unknown"),
        ({"shape": np.array([72])}, r"has the shape \(72,\) and 72 synapses"),
        ({"shape": np.array([-6, -12])}, r"has the shape \(-6, -12\)"),
        ({"image": np.array([1, 3, 5])}, r"an image of \(1, 3, 5\) for 12 presynaptic units"),
        ({"layers": np.array(["fc1.weight"] * 2)}, "4 frames of fc1.weight"),
        ({"survived": FILM.survived - 99}, "survived must be from 0"),
        ({"regrown": FILM.prunable + 0 * FILM.regrown}, "more synapses than there can be"),
        ({"counts": FILM.counts - 99}, "more synapses than there can be"),
        ({"steps": FILM.steps[::-1]}, "steps must ascend"),
        ({"steps_per_epoch": 0}, "an epoch have one or more"),
        ({"edges": FILM.edges[:, ::-1]}, "edges must be finite and ascend"),
        ({"accuracy": FILM.accuracy + 1}, r"accuracy must be in \[0, 1\], or nan"),
        ({"final_accuracy": -0.1}, "final_accuracy must be"),
        ({"zone": np.full(4, -1.0)}, "zone must be 0 or more, or nan"),
        ({"evaluated_on": "train"}, "evaluated_on must be one of test, validation, found 'train'"),
        ({"quantity": ""}, "quantity must be one of"),
    ],
)
def test_numbers_that_do_not_fit_together_are_refused(other: dict, message: str, tmp_path: Path):
    arrays = {entry.name: np.asarray(getattr(FILM, entry.name)) for entry in fields(Footage)} | other
    np.savez(tmp_path / "film.npz", **arrays)
    with pytest.raises(InputError, match=message):
        Footage.load(tmp_path / "film.npz")


def test_a_missing_a_damaged_and_another_file_are_refused(tmp_path: Path):
    path = tmp_path / "film.npz"
    with pytest.raises(InputError, match="no film at"):
        Footage.load(path)
    FILM.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="is not a film of snnprune, or it is damaged"):
        Footage.load(path)
    np.savez(path, title="another")
    with pytest.raises(InputError, match="is not a film of snnprune, or it is damaged"):
        Footage.load(path)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_film_is_drawn(kind: str, tmp_path: Path):
    film = KINDS[kind]
    for name, plot in PLOTS.items():
        plot(film, path=tmp_path / name)
        if name.endswith(".png"):
            picture = imread(tmp_path / name)
            assert min(picture.shape[:2]) > 250
            assert picture[..., :3].std() > 0.02
    assert len(frames_of(tmp_path / "film.gif")) == len(film)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(PLOTS)


def test_a_film_loops_and_rests_on_its_last_frame(tmp_path: Path):
    plot_film(FILM, path=tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as image:
        assert image.info["loop"] == 0
        times = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    assert times == [600, 200, 200, 3000]
    plot_film(replace(footage(frames=5), pruned=0 * footage(frames=5).pruned), path=tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as image:
        assert image.n_frames == 5


def test_frames_without_a_change_are_shown_for_a_shorter_time(tmp_path: Path):
    film = footage(frames=5)
    for changes in (film.pruned, film.regrown, film.tried):
        changes[2:] = 0
    plot_film(film, path=tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as image:
        assert [frame.info["duration"] for frame in ImageSequence.Iterator(image)] == [600, 200, 80, 80, 3000]


def test_a_viewer_sees_every_frame_as_it_was_drawn(tmp_path: Path):
    plot_film(FILM, path=tmp_path / "film.gif")
    screen = Screen(FILM)
    for number, found in enumerate(frames_of(tmp_path / "film.gif")):
        drawn = screen.show(number)
        assert np.array_equal(found, np.array(_paletted(drawn, palette()).convert("RGB")))
        assert np.abs(found.astype(int) - drawn).mean() < 1  # only smooth edges on grey are not met
        colors = {tuple(color) for color in found.reshape(-1, 3).tolist()}
        for kind in np.unique(FILM.changes(number)):
            assert tuple(round(255 * part) for part in paint(int(kind))) in colors


def test_all_frames_have_the_same_place_for_everything():
    screen = Screen(FILM)
    first, last = screen.show(0), screen.show(len(FILM) - 1)
    assert first.shape == last.shape == (690, 1010, 3)
    assert np.array_equal(first[:40], last[:40])
    assert np.array_equal(screen.show(0), first)


def test_colours_of_the_palette_are_not_changed():
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [254, 255, 255], [255, 254, 255], [255, 255, 254]])
    others = np.random.default_rng(0).integers(256, size=(200, 3))
    colors = np.unique(np.concatenate([corners, others]), axis=0).astype(np.uint8)
    assert np.array_equal(np.array(_paletted(colors[None], colors).convert("RGB"))[0], colors)


def test_the_nearest_colour_is_exact():
    colors = make_palette(["#000000", "#D55E00"], np.array([[1.0, 1.0, 1.0]]))
    frame = np.array([[[255, 255, 255], [254, 255, 255], [213, 94, 0], [3, 1, 0]]], dtype=np.uint8)
    shown = np.array(_paletted(frame, colors).convert("RGB"))
    assert shown.tolist() == [[[255, 255, 255], [255, 255, 255], [213, 94, 0], [0, 0, 0]]]


def test_the_words_of_a_frame_by_hand():
    counts = {"survived": 1, "pruned": 2, "regrown": 3, "tried": 1024}
    film = replace(by_hand(), **{name: np.full((2, 2), count) for name, count in counts.items()})
    screen = Screen(film)
    screen.show(1)
    title, progress_, caption, tiles_caption, *legend = [text.get_text() for text in screen.figure.texts]
    assert title == r"fc1: a \$method\$ trains a_net on data"
    assert progress_ == progress(film, 1)
    assert caption == "Synapses of each pixel: white 0, dark 1"
    assert tiles_caption == "Receptive fields of 2 neurons (1 of 2 end with none)"
    assert legend == [
        f"{WORDS[kind]}  {count}" for kind, count in ((STAYED, 1), (CAME, 3), (WENT, 2), (TRIED, "1,024"))
    ]
    whole = Screen(footage(image=(), shape=(500, 1300)))
    whole.show(0)
    assert whole.caption.get_text() == "500 outputs from top to bottom, 1,300 inputs from left to right"


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_lies_on_another_thing_or_beyond_the_margins(kind: str):
    screen = Screen(KINDS[kind])
    screen.show(0)
    parts = [text.get_window_extent() for text in screen.figure.texts if text.get_text()]
    parts += [axes.bbox for axes in screen.figure.axes]
    parts += [patch.get_window_extent() for patch in screen.figure.artists]
    for number, part in enumerate(parts):
        assert part.x0 >= 27.5
        assert part.x1 <= 1010 - 27.5
        assert 0 < part.y0 < part.y1 <= 690 - 15
        for other in parts[:number]:
            assert part.x1 <= other.x0 or other.x1 <= part.x0 or part.y1 <= other.y0 or other.y1 <= part.y0


@pytest.mark.parametrize(("side", "expected"), [(28, 344), (90, 270), (150, 300), (400, 344)])
def test_pixels_that_are_few_pixels_wide_are_all_of_one_size(side: int, expected: int):
    box = Screen(footage(shape=(2, side**2), image=(1, side, side))).figure.axes[0].bbox
    assert (box.width, box.height) == pytest.approx((expected, expected))


def test_a_strip_shows_nine_neurons_below_the_pixels():
    film = footage(shape=(12, 12))
    axes = plot_strip(film).axes
    assert len(axes) == 8  # two rows of four frames
    for frame, (above, below) in enumerate(zip(axes[:4], axes[4:], strict=True)):
        assert np.array_equal(above.images[0].get_array(), pixels(film, frame)[0])
        assert np.array_equal(below.images[0].get_array(), tiles(film, frame, choose_neurons(film, 9), 3))


def test_the_dead_zone_has_a_border_on_either_side():
    figure = plot_hidden(KINDS["zone"])
    _, upper, lower, *_ = figure.axes[0].get_lines()  # after the line at 0
    assert upper.get_ydata()[:3].tolist() == [0, 0.1, 0.2]
    assert lower.get_ydata()[:3].tolist() == [0, -0.1, -0.2]


@pytest.mark.parametrize("frame", [0, 2, 3])
def test_of_the_course_all_that_is_still_to_come_is_covered(frame: int):
    screen = Screen(FILM)
    screen.show(frame)
    course, cover = screen.figure.axes[-1], screen.future
    now = course.transData.transform((FILM.epochs[frame], 1))[0]
    covered, panel = cover.get_window_extent(), course.bbox
    assert covered.x0 == pytest.approx(now)
    assert covered.x1 >= panel.x1
    assert covered.y0 <= panel.y0
    assert covered.y1 >= panel.y1
    assert cover.zorder > max(line.zorder for line in course.get_lines())


@pytest.mark.parametrize(("layers", "panel"), [(1, 0), (2, 0), (3, 0), (4, 1), (5, 1)])
def test_the_legend_is_above_the_upper_right_panel(layers: int, panel: int):
    axes = plot_turnover(footage(layers=layers)).axes
    assert [number for number, found in enumerate(axes) if found.get_legend()] == [panel]


@pytest.mark.parametrize(
    ("most", "expected"),
    [(60, [1, 2, 5, 10, 20, 50]), (999, [1, 2, 5, 10, 20, 50, 100, 200, 500]), (4000, [1, 10, 100, 1000])],
)
def test_a_scale_of_few_decades_has_more_numbers(most: int, expected: list[int]):
    counts = np.zeros_like(FILM.counts)
    counts[0, 0, BINS] = most
    bar = plot_hidden(replace(FILM, counts=counts)).axes[-1]
    low, high = bar.get_ylim()
    assert [round(tick) for tick in bar.get_yticks() if low <= tick <= high] == expected


def test_the_progress_of_the_training_in_one_line():
    assert progress(FILM, 0) == f"epoch 0.1 of 2, density {FILM.density(0):.2%}"
    assert progress(FILM, 1) == f"epoch 0.8 of 2, density {FILM.density(1):.2%}, training accuracy 50.0%"
    assert progress(FILM, 3).endswith("test accuracy 90.00%")
    assert progress(replace(FILM, final_accuracy=math.nan), 3).endswith("training accuracy 50.0%")


@pytest.mark.parametrize("size", [1, 3, 100, BINS])
def test_a_cropped_histogram_keeps_all_synapses_and_a_border_at_0(size: int):
    counts = np.zeros((2, 2 * BINS), dtype=int)
    counts[0, BINS - size : BINS + 1] = 5
    counts[1, BINS + size - 1] = 7
    shown, edges = _cropped(counts, np.arange(-BINS, BINS + 1))
    assert shown.sum(axis=1).tolist() == counts.sum(axis=1).tolist()
    assert 0 in edges
    assert shown.shape[1] == len(edges) - 1 <= 161
    assert shown[:, edges[:-1] >= 0].sum(axis=1).tolist() == [5, 7]


def test_stray_synapses_do_not_stretch_the_axis():
    counts = np.zeros((1, 2 * BINS), dtype=int)
    counts[0, BINS : BINS + 10] = 100_000
    counts[0, -1] = 1
    assert _cropped(counts, np.arange(-BINS, BINS + 1))[1].tolist() == list(range(-1, 11))


def test_numbers_as_people_say_them():
    assert [short(value) for value in (1, 100, 1e3, 1e5, 1e6, 2e9)] == ["1", "100", "1 k", "100 k", "1 M", "2 G"]


@pytest.mark.parametrize("name", PLOTS)
def test_equal_films_give_equal_bytes_and_others_another_picture(name: str, tmp_path: Path):
    for file, film in {"a": FILM, "b": footage(), "c": footage(seed=1)}.items():
        PLOTS[name](film, path=tmp_path / f"{file}-{name}")
    first, second, third = ((tmp_path / f"{file}-{name}").read_bytes() for file in "abc")
    assert first == second
    assert first != third


@pytest.mark.parametrize("name", PLOTS)
def test_a_place_that_cannot_be_written_is_refused(name: str, tmp_path: Path):
    with pytest.raises(InputError, match="cannot write"):
        PLOTS[name](FILM, path=tmp_path / "missing" / name)
    with pytest.raises(InputError, match="cannot write"):
        FILM.save(tmp_path / "missing" / "film.npz")


@pytest.mark.parametrize("name", PLOTS)
def test_a_suffix_of_another_format_is_refused_before_anything_is_drawn(name: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(Footage, "density", lambda *_: pytest.fail("drawn"))
    with pytest.raises(InputError, match=r"a\.jpeg has the suffix '\.jpeg'") as error:
        PLOTS[name](FILM, path=tmp_path / "a.jpeg")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_gif_of_equal_frames_is_written(tmp_path: Path):
    frame = np.full((4, 5, 3), 255, dtype=np.uint8)
    write_gif(tmp_path / "a.gif", [frame, frame], [100, 200], palette())
    assert frames_of(tmp_path / "a.gif")[0].tolist() == frame.tolist()
