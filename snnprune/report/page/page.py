"""The page of an assessment, section by section."""

import base64
import os
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Protocol

from ...errors import InputError
from ...storage import write_text
from .assets import POLICY, SCRIPT, STYLE
from .tables import Cell, lines, number, table

# Verdict -> mark and words, the best first. The mark carries the verdict without its colour.
_VERDICTS = {
    "fits": ("\N{CHECK MARK}", "fits by size"),
    "needs-more-chips": ("\N{TILDE OPERATOR}", "needs more chips"),
    "cannot": ("\N{BALLOT X}", "cannot"),
}
# In networks of more layers, all maps but the first are folded.
_MANY = 4
# Pixels an inch of a screen, by the definition of CSS, and of the pictures.
_SCREEN_DPI, _PICTURE_DPI = 96, 150


class Content(Protocol):
    """A result with plain values, such as `budget.Assessment`."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `report.json` holds them."""
        ...


def save_page(result: Content, path: str | os.PathLike[str], *, pictures: Mapping[str, bytes] | None = None) -> None:
    """Write a self-contained HTML page, atomically.

    Args:
        result: of `budget.assess`.
        path: the file to replace; its folder must exist.
        pictures: title -> PNG.

    Raises:
        InputError: not such a result, or the file cannot be written there.
    """
    if not hasattr(result, "to_json"):
        raise InputError(f"save_page takes the result of budget.assess, found {type(result).__name__}")
    if not Path(path).parent.is_dir():
        raise InputError(f"cannot write {path}: the folder {Path(path).parent} does not exist")
    write_text(path, render(result.to_json(), pictures or {}))


def render(content: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The page as HTML.

    Args:
        content: of `Assessment.to_json`.
        pictures: title -> PNG.
    """
    title = _title(content["run"])
    parts = [
        f"<h1>{escape(title)}</h1>{_lead(content)}",
        "<h2>Does it fit?</h2>" + _chips(content["chips"]),
        _useless(content["chips"]),
        "<h2>What each layer keeps</h2>" + _layers(content) + _not_pruned(content),
        "<h2>Operations and energy of one sample</h2>" + _costs(content),
        "<h2>Connectivity</h2>" + _pictures(pictures) if pictures else "",
        "<h2>What this assumes</h2>" + _assumptions(content),
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
        f"<meta name=viewport content='width=device-width, initial-scale=1'><meta {POLICY}><style>{STYLE}</style>"
        f"<main>{''.join(parts)}</main><script>{SCRIPT}</script></html>\n"
    )


def _title(run: Mapping[str, Any]) -> str:
    known = [str(run[key]) for key in ("model", "data") if run.get(key)]
    named = " on ".join(known) or "A network"
    return named + (f", {run['method']}" if run.get("method") else "")


def _lead(content: Mapping[str, Any]) -> str:
    """The verdicts and the cost in two lines."""
    run, kept, energy = content["run"], content["connectivity"], content["energy"]
    synapses = f"{kept['nonzero']:,} of {kept['prunable']:,} synapses ({kept['density']:.3%})"
    chips = content["chips"]
    fitting = sum(chip["verdict"] == "fits" for chip in chips.values())
    done, multiplied = (content["operations"][key] for key in ("synaptic_operations", "multiply_accumulates"))
    count = f"{done:,.0f} operations" if done or not multiplied else f"{multiplied:,.0f} multiplications"
    cost = (
        f"{count}, "
        f"{energy['picojoules'] / 1e3:,.1f} nJ a sample "
        f"(all synapses {energy['if_dense'] / 1e3:,.1f} nJ, dense ANN twin {energy['ann_twin_dense'] / 1e3:,.1f} nJ)"
    )
    fits = f"Fits {fitting} of {len(chips)} chips by size; " if chips else ""
    return f"<p class=lead>{escape(fits + cost)}</p><p class=faint>{escape(_accuracy(run) + synapses)}</p>"


def _accuracy(run: Mapping[str, Any]) -> str:
    if run.get("accuracy") is None:
        return ""
    data = f" on the {run['evaluated_on']} data" if run.get("evaluated_on") else " accuracy"
    dense = "" if run.get("dense_accuracy") is None else f" (dense {run['dense_accuracy']:.2%})"
    return f"{run['accuracy']:.2%}{data}{dense}, "


def _chips(chips: Mapping[str, Mapping[str, Any]]) -> str:
    rank = {verdict: position for position, verdict in enumerate(_VERDICTS)}
    rows = []
    for name, chip in sorted(chips.items(), key=lambda item: rank[item[1]["verdict"]]):
        mark, words = _VERDICTS[chip["verdict"]]
        verdict = f"<span class='verdict {chip['verdict']}'><span aria-hidden=true>{mark}</span> {words}</span>"
        reasons = lines(chip["reasons"])
        if chip["verdict"] != "cannot" and chip.get("not_checked"):
            unchecked = escape(f"not checked: {', '.join(chip['not_checked'])}")
            load = chip.get("cores_load")
            loads = f"<small class=line>{escape(load['text'])}</small>" if load else ""
            reasons = Cell(f"{reasons.html}{loads}<small class=line>{unchecked}</small>", kind="text")
        row = [Cell(escape(name), kind="name"), Cell(verdict, rank[chip["verdict"]]), reasons, lines(chip["changes"])]
        rows.append([*row, Cell(escape(chip["zeros_free"]))])
    heads = ["chip", "verdict", "why", "what would help", "an absent synapse frees"]
    return table(heads, rows, name="Chips", stack=True, sorted_by=1)


def _useless(chips: Mapping[str, Mapping[str, Any]]) -> str:
    """Chips on which pruning single synapses saves nothing."""
    names = [name for name, chip in chips.items() if chip["zeros_free"] == "nothing"]
    if not names:
        return ""
    text = "Pruning single synapses saves no memory there; a cap on the fan-in, or removing whole channels, does."
    return f"<p><small>{escape(', '.join(names))}: {text}</small></p>"


def _layers(content: Mapping[str, Any]) -> str:
    done = content["operations"]["by_layer"]
    rows = []
    for name, row in content["connectivity"]["by_layer"].items():
        if name not in done:
            continue  # excluded from counting
        kind = done[name]["kind"] + (", once" if done[name]["once"] else "")
        counts = [number(row[key]) for key in ("nonzero", "prunable")]
        shape = "x".join(map(str, row["shape"]))
        density = number(row["density"], f"{row['density']:.3%}")
        costs = [number(row["connections"]), number(done[name]["operations"]), Cell(escape(kind))]
        rows.append([Cell(escape(name)), Cell(shape), *counts, density, *costs])
    heads = ["layer", "shape", "synapses", "of", "density", "connections", "operations a sample", "kind"]
    return table(heads, rows, name="Layers")


def _not_pruned(content: Mapping[str, Any]) -> str:
    rest = content.get("not_pruned", [])  # not in assessments of earlier versions
    if not rest:
        return ""
    rows = [
        [Cell(escape(entry["name"])), Cell("x".join(map(str, entry["shape"]))), Cell(escape(entry["reason"]))]
        for entry in rest
    ]
    return "<h3>Not pruned</h3>" + table(["parameter", "shape", "why"], rows, name="Not pruned")


def _costs(content: Mapping[str, Any]) -> str:
    operations, energy = content["operations"], content["energy"]
    values = {
        "this network": energy["picojoules"],
        "the same spikes, all synapses": energy["if_dense"],
        "ANN twin, these synapses": energy["ann_twin"],
        "ANN twin, all synapses": energy["ann_twin_dense"],
    }
    most = max(values.values()) or 1
    rows = []
    for name, value in values.items():
        bar = f"<span class=bar style='width:{100 * value / most:.1f}%'></span>"
        rows.append([Cell(escape(name)), number(value, f"{value / 1e3:,.1f}"), Cell(bar, kind="bars")])
    spread, done = operations["per_sample"], operations["synaptic_operations"]
    text = (
        f"{done:,.0f} synaptic operations (with all synapses {operations['if_dense']:,.0f}), from {spread['0%']:,.0f} "
        f"to {spread['100%']:,.0f} over {operations['samples']:,} samples, in {operations['timesteps']} time steps; "
        f"{operations['multiply_accumulates']:,.0f} multiplications for analog inputs. "
        f"{energy['weight_bits'] / 8e3:,.1f} kB of weights at {energy['cost']}."
    )
    return f"<p>{escape(text)}</p>" + table(["network", f"nJ at {energy['cost']}", ""], rows, name="Energy", stack=True)


def _pictures(pictures: Mapping[str, bytes]) -> str:
    """Pictures one below another; those of a deep network folded, but for the first two."""
    shown = []
    for index, (title, png) in enumerate(pictures.items()):
        name, data = escape(title, quote=True), base64.b64encode(png).decode("ascii")
        image = f"<img alt='{name}' width={_width(png)} src='data:image/png;base64,{data}'>"
        box = f"<div class='scroll picture' role=region tabindex=0 aria-label='{name}'>{image}</div>"
        folded = len(pictures) > _MANY + 1 and index > 1
        shown.append(f"<details><summary>{escape(title)}</summary>{box}</details>" if folded else box)
    return "".join(shown)


def _width(png: bytes) -> int:
    """Width on a screen in pixels, by which the text of all pictures is of one size."""
    return round(int.from_bytes(png[16:20], "big") * _SCREEN_DPI / _PICTURE_DPI)


def _assumptions(content: Mapping[str, Any]) -> str:
    placed = {text for chip in content["chips"].values() for text in chip["assumptions"]}
    items = [*content["energy"]["assumptions"], *sorted(placed)]
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"
