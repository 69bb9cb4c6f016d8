"""A run folder: what it holds, what is restored, and what is refused in a folder of somebody else's."""

import json
import logging
import os
from pathlib import Path

import pytest

from snnprune import InputError
from snnprune.storage import MissingFile
from snnprune.training import RunFolder, check_links, environment

ROW = {"step": 10, "train_loss": 0.5, "train_accuracy": 0.25, "density": 0.1, "seconds": 1.5}


def row(epoch: int, **other: object) -> dict:
    return {"epoch": epoch, **ROW, "step": 10 * epoch, **other}


def written(folder: Path, *lines: str) -> RunFolder:
    (folder / "metrics.jsonl").write_text("".join(lines))
    return RunFolder(folder)


def line(epoch: int, **other: object) -> str:
    return json.dumps(row(epoch, **other)) + "\n"


def test_a_new_run_has_its_config_and_environment(tmp_path):
    with RunFolder(tmp_path / "deep" / "run") as folder:
        folder.start({"epochs": 3})
        assert folder.read_json("config.json") == {"epochs": 3}
        found = folder.read_json("environment.json")
    assert {"torch", "spikingjelly", "snnprune", "processor", "gpu", "date", "threads"} <= found.keys()


def test_a_start_that_was_killed_after_the_environment_is_started_again(tmp_path):
    (tmp_path / "environment.json").write_text("{}")
    with RunFolder(tmp_path) as folder:
        folder.start({"epochs": 3})
        assert folder.read_json("environment.json")["threads"] >= 1


# --- Rows


def test_rows_survive_a_line_that_was_cut_off(tmp_path):
    with RunFolder(tmp_path) as folder:
        for epoch in (1, 2, 3):
            folder.add_row(row(epoch))
        with (tmp_path / "metrics.jsonl").open("a") as file:
            file.write('{"epoch": 4, "tr')
        assert [found["epoch"] for found in folder.rows()] == [1, 2, 3]
        assert folder.restore_rows(epochs=2, known=None) == [row(1), row(2)]
        folder.add_row(row(3))
        assert [found["epoch"] for found in folder.rows()] == [1, 2, 3]


@pytest.mark.parametrize("cut", range(1, len(line(3)) + 1))
def test_a_last_line_is_whole_or_left_out_wherever_it_is_cut(cut, tmp_path):
    text = line(3)[:-cut]
    rows = written(tmp_path, line(1), line(2), text).rows()
    assert rows == [row(1), row(2), *([row(3)] if cut == 1 else [])]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ('{"epoch": 2, "tr\n', "line 2, is no row of epoch 2 .*is not JSON"),
        (line(2).replace("0.25", "0.2x5"), "line 2, .*is not JSON"),
        ("[1]\n", "it is a list, expected an object"),
        ("\n", "line 2"),
        (line(3), "epoch is 3, expected 2"),
        (line(2, extra=1), "unknown entry extra: known are epoch"),
        (line(2, density=None), "density is None"),
        (line(2, train_accuracy=1.5), "train_accuracy is 1.5"),
        (line(2, step=2.5), "step is 2.5"),
        (line(2, seconds=-1), "seconds is -1"),
        (line(2, train_loss=True), "train_loss is True"),
        (line(2, train_loss="0.5"), "train_loss is '0.5'"),
        ('{"epoch": 2}\n', "density is missing"),
        (line(2).replace("0.5,", "NaN,"), "NaN is no number of JSON"),
        (line(2).replace("0.5,", "1e999,"), "inf is no finite number"),
        (line(2)[:-2] + ', "seconds": 1}\n', "'seconds' is there twice"),
    ],
)
def test_a_damaged_line_that_is_not_cut_off_is_an_error(bad, message, tmp_path):
    folder = written(tmp_path, line(1), bad, line(3))
    with pytest.raises(InputError, match=message):
        folder.rows()
    with pytest.raises(InputError, match=message):
        folder.restore_rows(epochs=1, known=None)


def test_rows_that_are_lost_come_from_the_checkpoint(tmp_path):
    known = [{key: value for key, value in row(epoch).items() if key != "seconds"} for epoch in (1, 2, 3)]
    folder = written(tmp_path, line(1, seconds=7.5))
    restored = folder.restore_rows(epochs=3, known=known)
    assert [found["seconds"] for found in restored] == [7.5, None, None]
    assert folder.rows() == restored
    (tmp_path / "metrics.jsonl").unlink()
    assert [found["seconds"] for found in folder.restore_rows(epochs=3, known=known)] == [None] * 3


def test_rows_that_differ_from_the_checkpoint_or_that_nobody_has_are_an_error(tmp_path):
    known = [{key: value for key, value in row(1).items() if key != "seconds"}]
    folder = written(tmp_path, line(1, train_loss=0.25))
    with pytest.raises(InputError, match="line 1: the row is not that of the checkpoint; remove the file"):
        folder.restore_rows(epochs=1, known=known)
    with pytest.raises(InputError, match="has 1 rows, the checkpoint has done 2 epochs"):
        folder.restore_rows(epochs=2, known=None)


# --- The environment


def changed(folder: Path, **entries: object) -> None:
    content = environment() | entries
    (folder / "environment.json").write_text(json.dumps(content))


def test_another_number_of_threads_is_recorded_and_warned_of(tmp_path, caplog):
    changed(tmp_path, threads=77, torch="1.0")
    folder = RunFolder(tmp_path)
    with caplog.at_level(logging.WARNING):
        folder.note_environment()
    now, found = environment(), folder.read_json("environment.json")
    (message,) = caplog.messages
    assert f"threads {now['threads']} in place of 77" in message
    assert f"torch {now['torch']} in place of 1.0" in message
    assert (found["threads"], found["torch"]) == (77, "1.0")
    assert [entry["threads"] for entry in found["resumed"]] == [now["threads"]]
    folder.note_environment()
    assert len(folder.read_json("environment.json")["resumed"]) == 2


def test_the_same_environment_says_nothing_and_a_missing_one_is_written_again(tmp_path, caplog):
    folder = RunFolder(tmp_path)
    folder.note_environment()
    before = (tmp_path / "environment.json").read_bytes()
    folder.note_environment()
    assert (tmp_path / "environment.json").read_bytes() == before
    assert not caplog.messages


def test_a_damaged_environment_is_an_error(tmp_path):
    changed(tmp_path, resumed=3)
    with pytest.raises(InputError, match="resumed must be a list"):
        RunFolder(tmp_path).note_environment()
    (tmp_path / "environment.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        RunFolder(tmp_path).note_environment()


def test_the_environment_is_plain_json():
    assert json.loads(json.dumps(environment()))["cores"] >= 1


# --- Folders that are refused


def test_a_folder_in_use_is_refused(tmp_path):
    with RunFolder(tmp_path), pytest.raises(InputError, match="is in use by another run"), RunFolder(tmp_path):
        pass
    with RunFolder(tmp_path):
        pass


def test_a_folder_that_holds_something_is_refused(tmp_path):
    with RunFolder(tmp_path / "a") as folder:
        folder.start({})
        with pytest.raises(InputError, match=r"holds a run already: add --resume to continue it, or choose another"):
            folder.start({})
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").write_text("")
    with (
        RunFolder(tmp_path / "b") as folder,
        pytest.raises(InputError, match=r"other files \(thesis\.tex\) already: choose"),
    ):
        folder.start({})


def test_unfinished_files_of_a_killed_process_are_removed(tmp_path):
    (tmp_path / ".config.json.part").write_text("{")
    (tmp_path / ".snnprune-abcdefgh.part").mkdir()
    (tmp_path / ".snnprune-abcdefgh.part" / "content").write_text("{")
    (tmp_path / ".mine.part").write_text("mine")
    with RunFolder(tmp_path) as folder:
        folder.start({"epochs": 1})
    assert folder.read_json("config.json") == {"epochs": 1}
    assert {path.name for path in tmp_path.iterdir()} == {".lock", ".mine.part", "config.json", "environment.json"}


@pytest.mark.parametrize("path", ["file/run", "x" * 300, "a\0b", "/".join(["y" * 200] * 30)])
def test_a_folder_that_cannot_be_made_is_refused(path, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write to|NUL"), RunFolder(f"{tmp_path}/{path}"):
        pass


@pytest.mark.parametrize(
    "name",
    ["metrics.jsonl", ".lock", "config.json", ".metrics.jsonl.part", "figures", "checkpoint.safetensors", "deep/a.png"],
)
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_that_leads_out_of_the_folder_is_refused_and_not_written_through(name, dangling, tmp_path):
    run, mine = tmp_path / "run", tmp_path / "mine"
    (run / name).parent.mkdir(parents=True)
    (run / ("config.json" if name != "config.json" else "other")).write_text("{}")
    if not dangling:
        mine.write_text("mine")
    (run / name).symlink_to(mine)
    with pytest.raises(InputError, match=r"is a link to .*mine: remove it"), RunFolder(run):
        pass
    assert (mine.read_text() == "mine") if not dangling else not mine.exists()
    assert (run / name).is_symlink()


def test_links_that_stay_inside_and_a_folder_reached_by_a_link_are_used(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    (tmp_path / "run" / "rows").write_text("")
    (tmp_path / "run" / "metrics.jsonl").symlink_to("rows")
    with RunFolder(tmp_path / "link") as folder:
        folder.restore_rows(epochs=0, known=None)
        folder.add_row(row(1))
        assert folder.rows() == [row(1)]
    assert (tmp_path / "run" / "rows").read_text() == line(1)
    assert (tmp_path / "run" / "metrics.jsonl").is_symlink()


def test_a_lock_that_is_another_file_and_a_pipe_are_refused(tmp_path):
    (tmp_path / "mine").write_text("mine")
    for number, make in enumerate(
        (
            lambda run: os.link(tmp_path / "mine", run / ".lock"),
            lambda run: (run / ".lock").symlink_to("config.json"),
            lambda run: os.mkfifo(run / "metrics.jsonl"),
        )
    ):
        run = tmp_path / str(number)
        run.mkdir()
        (run / "config.json").write_text("{}")
        make(run)
        with pytest.raises(InputError, match="remove it"):
            check_links(run)
        with pytest.raises(InputError, match="remove it"), RunFolder(run):
            pass
        assert (run / "config.json").read_text() == "{}"
    assert (tmp_path / "mine").read_text() == "mine"


def test_json_that_is_missing_or_damaged_is_refused(tmp_path):
    folder = RunFolder(tmp_path)
    with pytest.raises(MissingFile, match=r"holds no run: config\.json is missing"):
        folder.read_json("config.json")
    for content in ("{", "\xff", "[1]"):
        (tmp_path / "config.json").write_text(content, encoding="latin-1")
        with pytest.raises(InputError, match=r"config\.json"):
            folder.read_json("config.json")


def test_a_folder_that_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("none", "file"):
        with pytest.raises(InputError, match=r"cannot read .*; choose another folder"):
            check_links(tmp_path / name)
