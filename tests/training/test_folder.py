import json

import pytest

from snnprune import InputError
from snnprune.training import RunFolder, environment


def test_a_new_run_tells_its_config_and_environment(tmp_path):
    with RunFolder(tmp_path / "deep" / "run") as folder:
        folder.start({"epochs": 3})
        assert folder.read_json("config.json") == {"epochs": 3}
        found = folder.read_json("environment.json")
    assert {"torch", "spikingjelly", "snnprune", "processor", "gpu", "date", "threads"} <= found.keys()


def test_rows_survive_a_line_that_was_cut_off(tmp_path):
    with RunFolder(tmp_path) as folder:
        for epoch in (1, 2, 3):
            folder.add_row({"epoch": epoch})
        with (tmp_path / "metrics.jsonl").open("a") as file:
            file.write('{"epoch": 4, "tr')
        assert [row["epoch"] for row in folder.rows()] == [1, 2, 3]
        folder.keep_rows(2)
        folder.add_row({"epoch": 3})
        assert [json.loads(line)["epoch"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [
            1,
            2,
            3,
        ]


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


def test_unfinished_files_of_a_killed_process_are_ignored(tmp_path):
    (tmp_path / ".config.json.part").write_text("{")
    with RunFolder(tmp_path) as folder:
        folder.start({"epochs": 1})
    assert folder.read_json("config.json") == {"epochs": 1}


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to"), RunFolder(tmp_path / "file" / "run"):
        pass


def test_json_that_is_missing_or_damaged_is_refused(tmp_path):
    folder = RunFolder(tmp_path)
    with pytest.raises(InputError, match=r"holds no run: config\.json is missing"):
        folder.read_json("config.json")
    for content in ("{", "\xff", "[1]"):
        (tmp_path / "config.json").write_text(content, encoding="latin-1")
        with pytest.raises(InputError, match=r"config\.json"):
            folder.read_json("config.json")


def test_the_environment_is_plain_json():
    assert json.loads(json.dumps(environment()))["cores"] >= 1
