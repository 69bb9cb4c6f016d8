"""Result of an assessment: plain values that print, and show themselves in a notebook."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from ..text import aligned, html_table
from .placement.result import VERDICTS


@dataclass(frozen=True, repr=False)
class Assessment:
    """Connectivity, operations, energy and chips of a network; `print` it, or write a page with `report.save_page`.

    Attributes:
        text: the JSON text of `to_json`, so that nothing in it can change.
    """

    text: str

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `report.json` holds them (docs/chips.md lists the keys); a fresh copy each time."""
        return json.loads(self.text)

    @property
    def fitting(self) -> list[str]:
        """Chips that the network fits by size."""
        return [name for name, chip in self.to_json()["chips"].items() if chip["verdict"] == "fits"]

    def __repr__(self) -> str:
        return f"Assessment({_summary(self.to_json())})"

    def __str__(self) -> str:
        content = self.to_json()
        operations, energy = content["operations"], content["energy"]
        done, dense = operations["synaptic_operations"], operations["if_dense"]
        own, full, twin, full_twin = (
            f"{energy[key] / 1e3:,.1f}" for key in ("picojoules", "if_dense", "ann_twin", "ann_twin_dense")
        )
        lines = [
            aligned(_connectivity(content["connectivity"]), left=(0, 1)),
            *_not_pruned(content),
            f"{done:,.0f} synaptic operations a sample (dense: {dense:,.0f}) and "
            f"{operations['multiply_accumulates']:,.0f} multiplications for analog inputs, on "
            f"{operations['samples']:,} samples",
            f"{own} nJ a sample at {energy['cost']} (dense {full}, ANN twin {twin}, dense ANN twin {full_twin}); "
            "the assumptions are in report.json",
        ]
        for name, chip in content["chips"].items():
            lines.append(f"{name}: {VERDICTS[chip['verdict']]}; {'; '.join(chip['reasons'])}")
            lines += [f"    {change}" for change in chip["changes"]]
            lines += [f"    {chip['cores_load']['text']}"] if chip["cores_load"] else []
            lines += [f"    not checked: {', '.join(chip['not_checked'])}"] if chip["verdict"] != "cannot" else []
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        content = self.to_json()
        tables = (
            html_table(_layers(content), left=(0, 1, 7)),
            html_table(_costs(content["energy"])),
            html_table(_chips(content["chips"]), left=range(6)),
        )
        rest = "".join(f"<p>{escape(line)}</p>" for line in _not_pruned(content))
        return f"<p>{escape(_summary(content))}</p>{tables[0]}{rest}{''.join(tables[1:])}"


def _summary(content: Mapping[str, Any]) -> str:
    kept, done, chips = content["connectivity"], content["operations"], content["chips"]
    fitting = sum(chip["verdict"] == "fits" for chip in chips.values())
    fits = f", fits {fitting} of {len(chips)} chips by size" if chips else ""
    synapses = f"{kept['nonzero']:,} of {kept['prunable']:,} synapses"
    return f"{synapses}, {done['synaptic_operations']:,.0f} synaptic operations a sample{fits}"


def _not_pruned(content: Mapping[str, Any]) -> list[str]:
    """A line that lists what is not pruned, if there is anything."""
    rest = [
        f"{entry['name']} {'x'.join(map(str, entry['shape']))} ({entry['reason']})"
        for entry in content.get("not_pruned", [])  # not in assessments of earlier versions
    ]
    return [f"not pruned: {', '.join(rest)}"] if rest else []


def _connectivity(kept: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows = [("layer", "shape", "synapses", "of", "density", "connections", "of")]
    for name, row in {**kept["by_layer"], "total": {**kept, "shape": []}}.items():
        shape = "x".join(map(str, row["shape"]))
        counts = (f"{row['nonzero']:,}", f"{row['prunable']:,}", f"{row['density']:.3%}")
        rows.append((name, shape, *counts, f"{row['connections']:,}", f"{row['possible_connections']:,}"))
    return rows


def _layers(content: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The connectivity of each layer without its total and the possible connections, beside its operations."""
    heads, *rows = _connectivity(content["connectivity"])
    done = content["operations"]["by_layer"]
    costs = {name: (f"{row['operations']:,.0f}", row["kind"]) for name, row in done.items()}
    return [(*heads[:6], "operations a sample", "kind"), *((*row[:6], *costs[row[0]]) for row in rows[:-1])]


def _costs(energy: Mapping[str, Any]) -> list[tuple[str, ...]]:
    networks = {
        "this network": "picojoules",
        "the same spikes, all synapses": "if_dense",
        "ANN twin, these synapses": "ann_twin",
        "ANN twin, all synapses": "ann_twin_dense",
    }
    heads = ("network", f"nJ a sample at {energy['cost']}")
    return [heads, *((name, f"{energy[key] / 1e3:,.1f}") for name, key in networks.items())]


def _chips(chips: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    rank = list(VERDICTS)
    rows: list[tuple[str, ...]] = [
        ("chip", "verdict", "why", "what would help", "not checked", "an absent synapse frees")
    ]
    for name, chip in sorted(chips.items(), key=lambda item: rank.index(item[1]["verdict"])):
        texts = ("; ".join(chip[key]) for key in ("reasons", "changes", "not_checked"))
        rows.append((name, VERDICTS[chip["verdict"]], *texts, chip["zeros_free"]))
    return rows
