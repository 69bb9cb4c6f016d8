"""Chips as data: every file whole and with sources; errors name file, line and key."""

from pathlib import Path

import pytest

from snnprune import InputError, cli
from snnprune.budget import CHIPS, find_chip, read_chip
from snnprune.budget.limits import ENCODINGS, LIMITS

MINE = """name = "Mine"
maker = "Me"
about = "A chip for tests."
placement = "neurons"
convolution = "replicated"
zeros = "memory"

[limits]
cores = { value = 2, source = "here", verified = true }
core_neurons = { value = 16, source = "here", verified = true }
fan_in = { value = 4, source = "a guess", verified = false }

[weights]
bits = { value = [4, 8], source = "here", verified = true }
encoding = { value = "lists", source = "here", verified = true }
"""


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


def test_the_known_chips():
    expected = {
        *("loihi1", "loihi2", "truenorth", "spinnaker1", "spinnaker2", "brainscales2", "speck", "xylo-audio-2"),
        *("xylo-audio-3", "xylo-imu", "dynap-se2", "akida1000", "tianjic", "odin"),
    }
    assert set(CHIPS.names()) == expected


@pytest.mark.parametrize("name", CHIPS.names())
def test_every_fact_has_a_source_and_what_is_from_memory_says_so(name):
    chip = find_chip(name)
    facts = [*chip.limits.values(), chip.weight_bits, chip.encoding, *([chip.energy] if chip.energy else [])]
    for fact in facts:
        assert fact.source
        unsure = any(word in fact.source for word in ("from memory", "not published", "taken from", "'s summary"))
        assert not (unsure and fact.verified), fact
    assert name in chip.explain()
    assert all(LIMITS[limit].meaning in chip.explain() for limit in chip.limits)


def test_limits_that_are_known_from_the_papers():
    assert find_chip("loihi1").limit("core_input_axons") == 4096
    assert find_chip("truenorth").limit("fan_in") == 256
    assert find_chip("dynap-se2").limit("fan_in") == 64
    assert find_chip("xylo-audio-3").limit("hidden_neurons") == 992
    assert find_chip("odin").limit("cores") == 1
    assert find_chip("speck").limit("fan_in") is None


def test_a_chip_of_ones_own_is_a_file(tmp_path):
    chip = find_chip(written(tmp_path, MINE))
    assert (chip.key, chip.name, chip.limit("fan_in"), chip.weight_bits.value) == ("mine", "Mine", 4, (4, 8))
    assert chip.energy is None
    assert ENCODINGS["lists"] in chip.explain()
    assert "unverified" in chip.explain()
    # a file that has changed is read again
    assert find_chip(written(tmp_path, MINE.replace("value = 4,", "value = 5,"))).limit("fan_in") == 5


def test_what_a_chip_says_of_itself_by_hand(tmp_path):
    fast = MINE.replace("value = 16", "value = 1024") + "[energy]\nsynaptic_operation = {"
    fast += " value = 23.6, source = 'there', verified = false }\n"
    assert find_chip(written(tmp_path, fast)).explain().splitlines() == [
        "Mine (Me), --chip mine",
        "",
        "A chip for tests.",
        "",
        f"Synapses in memory: {ENCODINGS['lists']} (here).",
        "",
        "limit                    value              source",
        "cores of a chip              2              here",
        "neurons on a core        1,024              here",
        "inputs of a neuron           4  unverified  a guess",
        "bits of a weight          4, 8              here",
        "pJ a synaptic operation   23.6  unverified  there",
    ]
    doubtful = MINE.replace('"lists", source = "here", verified = true', '"lists", source = "here", verified = false')
    assert "(unverified; here)." in find_chip(written(tmp_path, doubtful)).explain()


def test_the_example_of_the_documentation_is_a_chip(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "chips.md").read_text()
    assert read_chip(written(tmp_path, page.split("```toml\n")[1].split("```")[0])).limit("fan_in") == 64


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("fan_in =", "fan_inn =", "line 11: unknown key limits.fan_inn: known are cores, core_layers"),
        ("[weights]", "[wires]", "line 13: unknown key wires: known are name, maker"),
        ("value = 16", "value = -16", "line 10: limits.core_neurons must be a whole number above 0, found -16"),
        ("value = 2,", "value = 2.5,", "line 9: limits.cores must be a whole number above 0, found 2.5"),
        ("value = 2,", "value = [2],", r"line 9: limits.cores must be a whole number above 0, found \[2\]"),
        ("value = [4, 8]", "value = 4", "line 14: weights.bits must be a list of whole numbers above 0, found 4"),
        ("cores = {", "fan_out = {", "line 8: cores is missing: a chip with placement = 'neurons' needs it"),
        ("core_neurons = {", "fan_out = {", "core_neurons or core_synapse_bits is missing"),
        ("bits = {", "#", "line 13: bits is missing"),
        ("[weights]", "[weights]\n#", "line 13: weights.encoding must be one of blocks-of-64, lists"),
        ('maker = "Me"', "", "maker is missing"),
        ('maker = "Me"', "maker = 3", "line 2: maker must be a text, found 3"),
        ('"replicated"', '"mirrored"', "line 5: convolution must be one of shared, replicated, found 'mirrored'"),
        (
            'source = "a guess", verified = false',
            'source = "", verified = false',
            "line 11: limits.fan_in needs a source",
        ),
        (', source = "a guess"', "", "line 11: limits.fan_in must be { value = ..., source"),
        ("name =", "name", "mine.toml is not TOML"),
        (
            "[weights]",
            "[energy]\nsynaptic_operation = { value = 0, source = 'x', verified = true }\n[weights]",
            "above 0",
        ),
    ],
)
def test_an_error_names_file_line_and_key(before, after, message, tmp_path):
    text = MINE.replace(before, after, 1)
    if message.startswith("line 13: weights.encoding"):
        text = MINE.replace('"lists"', '"piles"')
        message = message.replace("line 13", "line 15")
    with pytest.raises(InputError, match=message) as error:
        read_chip(written(tmp_path, text))
    assert "mine.toml" in str(error.value)


def test_a_part_that_is_no_table_and_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="limits must be a table, found 3"):
        read_chip(written(tmp_path, MINE.split("[limits]")[0] + "limits = 3\n"))
    with pytest.raises(InputError, match=r"no chip file at .*none\.toml: give the path of one"):
        find_chip(str(tmp_path / "none.toml"))


def test_the_command_lists_and_explains(tmp_path, capsys):
    assert cli.main(["chips"]) == 0
    listed = capsys.readouterr().out
    head, *rows = listed.splitlines()[: 1 + len(CHIPS.names())]
    assert [row.split()[0] for row in rows] == sorted(CHIPS.names())
    assert not any(row.startswith(" ") for row in rows)  # columns are aligned to the left
    starts = [head.index(words) for words in ("name", "a synapse", "weight bits")]
    assert all(row[start - 1] == " " != row[start] for row in rows for start in starts)
    assert cli.main(["chips", "truenorth", written(tmp_path, MINE)]) == 0
    message = capsys.readouterr().out
    assert "Only a cap on the fan-in helps" in message
    assert "Mine (Me), --chip mine" in message
    assert cli.main(["chips", "brain"]) == 2
    assert "error: unknown chip 'brain': known are akida1000, brainscales2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('value = "lists"', "value = []", r"encoding must be one of .*, found \[\]"),
        ('value = "lists"', "value = {a = 1}", "encoding must be one of"),
        ("value = 4,", "value = true,", "fan_in must be a whole number above 0, found True"),
        ("value = 4,", "value = inf,", "is not TOML: inf is no finite number"),
        ("value = 4,", f"value = {10**30},", "an integer of more than 64 bits"),
        ("[limits]", "[limits.a.b]", "unknown key limits.a"),
        ("[weights]", "energy = inf\n[weights]", "inf is no finite number"),
        ("[weights]", "[energy]\nsynaptic_operation = 3\n[weights]", "synaptic_operation must be {"),
    ],
)
def test_values_of_a_wrong_kind_are_one_line(old, new, message, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        read_chip(written(tmp_path, MINE.replace(old, new)))
    assert str(error.value).isprintable()


def test_control_characters_of_a_chip_are_not_shown(tmp_path, capsys):
    text = (
        MINE.replace('"Me"', r'"\u001b[2J"')
        .replace('"a guess"', r'"a\u0007guess\nb"')
        .replace("tests.", r"tests.\u001b")
    )
    assert cli.main(["chips", written(tmp_path, text)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "a\\x07guess\\nb" in shown
