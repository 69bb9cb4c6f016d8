"""Text files: what is opened, and the limits of JSON and TOML before and after they are parsed."""

import errno
import json
import math
import os
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnprune import InputError
from snnprune.errors import Stopped, printable
from snnprune.storage import (
    MissingFile,
    canonical_json,
    exists,
    finite,
    json_text,
    make_folder,
    opening,
    parse_json,
    parse_toml,
    read_bytes,
    read_object,
    read_text,
    read_toml,
    write_json,
)
from snnprune.storage.json_files import DEEPEST, MOST_VALUES
from snnprune.text import aligned

# --- Opening


def test_what_is_no_file_is_refused_and_nothing_waits(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    kinds = {"folder": "is a directory, not a file", "pipe": "is a pipe", "loop": "cannot read"}
    for name, message in kinds.items():
        with pytest.raises(InputError, match=message):
            read_text(tmp_path / name)
    words = f"cannot read {tmp_path / 'loop'}: {os.strerror(errno.ELOOP)}; give the path of a file"
    with pytest.raises(InputError, match=f"^{re.escape(words)}$"):
        read_text(tmp_path / "loop")
    for name in ("/dev/zero", "/dev/null", "/dev/tty"):
        with pytest.raises(InputError, match=r"is a device|cannot read"):
            read_text(name)
    with pytest.raises(MissingFile, match=r"no protocol at .*none: give the path of one"):
        read_text(tmp_path / "none", what="protocol")


def test_a_file_that_is_exchanged_while_it_is_opened_is_checked_again(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("text")
    real = os.open
    monkeypatch.setattr(opening.os, "open", lambda *_arguments: real(tmp_path, os.O_RDONLY))
    with pytest.raises(InputError, match=r"is a directory"):
        read_text(tmp_path / "a")


def test_paths_that_cannot_be_asked_for(tmp_path):
    for path in ("a\0b", "x" * 5_000, 3, None, "\ud800", tmp_path / ("y" * 300)):
        with pytest.raises(InputError):
            read_text(path)  # type: ignore[arg-type]
        with pytest.raises(InputError):
            exists(path)  # type: ignore[arg-type]
        with pytest.raises(InputError):
            make_folder(path if not isinstance(path, int) else None)  # type: ignore[arg-type]
    assert exists(tmp_path)
    assert not exists(tmp_path / "a")
    (tmp_path / "a").write_text("")
    assert not exists(tmp_path / "a" / "b")


def test_size_and_bytes_of_a_text(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bytes(tmp_path / "a", limit=5) == b"12345"
    with pytest.raises(InputError, match="has more than 4 bytes, too many for a table"):
        read_bytes(tmp_path / "a", limit=4, what="table")
    (tmp_path / "a").write_bytes(b"ab\xffc")
    with pytest.raises(InputError, match="is not UTF-8 text: byte 2 is 0xff; save it as UTF-8"):
        read_text(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbf{}")
    assert read_object(tmp_path / "a") == {}


# --- JSON


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[1,", "is not JSON"),
        ("[NaN]", "NaN is no number of JSON"),
        ("[-Infinity]", "-Infinity is no number of JSON"),
        ("[1e999]", "inf is no finite number"),
        ("[" + "1" * 5_000 + "]", "an integer of 5,000 digits"),
        (f"[{2**63}]", "an integer of more than 64 bits"),
        (f"[{-(2**63) - 1}]", "an integer of more than 64 bits"),
        ('{"a": 1, "b": 2, "a": 1}', "the key 'a' is there twice"),
        ('[{"a": {"b": 1, "b": 1}}]', "the key 'b' is there twice"),
        ("[" * 2_000 + "]" * 2_000, f"is nested more than {DEEPEST} levels deep"),
        ("[" * 10**6, f"more than {MOST_VALUES:,} values"),
        ("[" * 10**5, f"is nested more than {DEEPEST} levels deep"),
        ("[" * (DEEPEST + 2) + "]" * (DEEPEST + 2), f"is nested more than {DEEPEST} levels deep"),
        ("[" + "[]," * MOST_VALUES + "[]]", f"more than {MOST_VALUES:,} values"),
        ("{" + '"a":0,' * MOST_VALUES + '"a":0}', f"more than {MOST_VALUES:,} values"),
        ('{"a":' * (MOST_VALUES + 1), f"more than {MOST_VALUES:,} values"),
    ],
)
def test_json_that_is_refused(text, message):
    with pytest.raises(InputError, match=message) as error:
        parse_json(text, where="file")
    assert str(error.value).startswith("file ")
    assert "\n" not in str(error.value)


def test_json_at_its_limits_is_read():
    assert parse_json(f"[{2**63 - 1}, {-(2**63)}, 1e308]", where="file") == [2**63 - 1, -(2**63), 1e308]
    assert parse_json("[" * DEEPEST + "]" * DEEPEST, where="file")
    assert len(parse_json("[" + "0," * (MOST_VALUES - 2) + "0]", where="file")) == MOST_VALUES - 1


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(content=plain)
def test_what_is_written_is_read(content):
    assert parse_json(json_text(content, where="file"), where="file") == content


@given(content=plain)
def test_canonical_text_is_the_same_for_equal_numbers_and_any_order(content):
    again = json.loads(json.dumps(content))
    if isinstance(content, dict):
        again = dict(reversed(again.items()))
    assert canonical_json(again) == canonical_json(content)


def test_canonical_text_by_hand():
    assert canonical_json({"b": 1.0, "a": [2, 0.5, True]}) == canonical_json({"a": (2.0, 0.5, True), "b": 1})
    assert len({canonical_json(value) for value in (1, True, "1", None, 1.5, [1])}) == 6


def test_nan_is_not_written_and_can_be_null(tmp_path):
    content = {"a": [math.nan, 1.0], "b": (math.inf, {"c": -math.inf})}
    with pytest.raises(InputError, match="cannot be written as JSON"):
        write_json(tmp_path / "a", content)
    assert not (tmp_path / "a").exists()
    with pytest.raises(InputError, match="cannot be written as JSON"):
        json_text({"a": object()}, where="file")
    write_json(tmp_path / "a", finite(content))
    assert read_object(tmp_path / "a") == {"a": [None, 1.0], "b": [None, {"c": None}]}


def test_json_that_is_no_object(tmp_path):
    (tmp_path / "a").write_text("[1]")
    with pytest.raises(InputError, match="is damaged: expected a JSON object, found list"):
        read_object(tmp_path / "a")


# --- TOML


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a." * 30_000 + "a = 1", "has a key of 30,001 parts"),
        ("[" + "a." * 30_000 + "a]", "has a key of 30,001 parts"),
        ("x = {" + "a . " * 20 + "a = 1}", "has a key of 21 parts"),
        ("x = '''\n'''\n" + '"b".' * 20 + "a = 1", "has a key of 21 parts"),
        ('x = """a""""\n' + "a." * 20 + "a = 1", "has a key of 21 parts"),
        ("x = '''a'''''\n" + "a." * 20 + "a = 1", "has a key of 21 parts"),
        ('x = "\\""\n' + "a." * 20 + "a = 1", "has a key of 21 parts"),
        ("x = 'a\\'\n" + "a." * 20 + "a = 1", "has a key of 21 parts"),
        ('# "\n' + "a." * 20 + "a = 1", "has a key of 21 parts"),
        ("x = " + "[" * 50_000, "is nested more than 32 levels"),
        ("x = " + "{a=" * 40 + "1" + "}" * 40, "is nested more than 32 levels"),
        ("x = " + "1" * 5_000, "has a number of 5,000 digits"),
        (f"x = {2**63}", "an integer of more than 64 bits"),
        ("x = 0xFFFFFFFFFFFFFFFFFFFF", "an integer of more than 64 bits"),
        ("x = [1, {y = inf}]", "inf is no finite number"),
        ("x = -nan", "nan is no finite number"),
        ("x = 1e999", "inf is no finite number"),
        ("x = 1\nx = 2", "is not TOML"),
        ("x = 1999-99-99", "is not TOML"),
        ("x = ", "is not TOML"),
        ("#" * 200_000, "has more than 64,000 characters"),
        ('"""' * 1_000, "is not TOML"),
    ],
)
def test_toml_that_is_refused(text, message):
    with pytest.raises(InputError, match=message) as error:
        parse_toml(text, where="file")
    assert str(error.value).startswith("file ")
    assert "\n" not in str(error.value)


def test_dots_and_brackets_in_texts_and_comments_count_for_nothing(tmp_path):
    dots = "a.[{" * 100
    text = f"a = \"{dots}\"\nb = '{dots}'\nc = \"\"\"\n{dots}\"{dots}\"\"\"\nd = '''{dots}\n''{dots}''' # {dots}\n"
    text += f"e = [{', '.join(['0.125'] * 100)}]\n"
    (tmp_path / "a.toml").write_text(text)
    assert read_toml(tmp_path / "a.toml") == tomllib.loads(text)


pieces = ('"', "'", '"""', "'''", "\\", "\n", "a", ".", " = ", "#", "[", "]", "{", "}", "1", ",", " ", "x = ", "\r\n")


@given(st.lists(st.sampled_from(pieces), max_size=30).map("".join))
def test_the_limits_refuse_nothing_that_is_small(text):
    try:
        expected = tomllib.loads(text)
    except ValueError:
        with pytest.raises(InputError):
            parse_toml(text, where="file")
        return
    assert parse_toml(text, where="file") == expected


@given(st.lists(st.sampled_from(pieces), max_size=12).map("".join), st.sampled_from(("\n", "", "x = 1\n")))
def test_a_limit_cannot_be_hidden_behind_what_comes_before(before, end):
    text = f"{before}{end}{'b.' * 30}c = 1"
    try:
        deep = "{'b': {'b': {'b'" in str(tomllib.loads(text))
    except ValueError:
        return
    if deep:
        with pytest.raises(InputError, match="has a key of 31 parts"):
            parse_toml(text, where="file")


# --- What is shown


@pytest.mark.parametrize("error", [InputError, MissingFile, Stopped])
def test_a_message_is_one_line_without_control_characters(error):
    assert str(error("a\x1b[31mb\nc\u202ed\r\0é \udcff")) == "a\\x1b[31mb\\nc\\u202ed\\r\\x00é \\udcff"
    assert str(error("first", "second\n", "third")) == "first\nsecond\\n\nthird"


def test_a_message_survives_another_process_and_stays_short():
    import pickle

    error = pickle.loads(pickle.dumps(InputError("a\nb", "c")))
    assert str(error) == "a\\nb\nc"
    long = str(InputError("x" * 10**6 + "end"))
    assert len(long) < 2_100
    assert long.endswith("xend")


def test_a_long_line_is_shortened_in_its_middle():
    parts = "a" * 1400, "b" * 101, "c" * 500
    assert str(InputError("".join(parts))) == f"{parts[0]} [...] {parts[2]}"
    assert str(InputError("a" * 2000, "b\n")) == "a" * 2000 + "\nb\\n"


def test_printable_keeps_what_is_asked_for():
    assert printable("a\tb\nc\x07", keep="\n") == "a\\tb\nc\\x07"
    assert printable("plain é") == "plain é"


def test_tables_show_names_on_one_line():
    assert aligned([("name", "n"), ("a\x1b[2J\nb", "1")]).splitlines() == ["name         n", "a\\x1b[2J\\nb  1"]


def test_the_committed_toml_files_are_far_from_the_limits():
    root = Path(__file__).parents[2]
    for path in (*root.glob("experiments/protocols/*.toml"), *root.glob("snnprune/budget/chips/*.toml")):
        assert read_toml(path) == tomllib.loads(path.read_text())
        assert path.stat().st_size < 20_000
