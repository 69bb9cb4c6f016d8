"""One page that opens from disk: everything that a report says, with its pictures inside."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #22262a; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.lead { color: #5c6369; margin-top: .2rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid #e4e7ea; }
th { white-space: nowrap; } th:not(:empty) { cursor: pointer; }
th:not(:empty)::after { content: " \\2195"; color: #b4b8bd; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.fits { color: #00664b; } .needs-more-chips { color: #8a5a00; } .cannot { color: #a33c00; }
.verdict { font-weight: 600; white-space: nowrap; } .bar { background: #0072b2; height: .8rem; display: inline-block; }
img { max-width: 100%; } small, li { color: #5c6369; } li { font-size: .92rem; }
"""
# A browser would refuse to fetch anything for this page.
_ALONE = (
    "http-equiv=Content-Security-Policy "
    "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\""
)
# Sorts a table by the column whose head is clicked: numbers as numbers, a second time the other way round.
_SCRIPT = """
for (const head of document.querySelectorAll("th:not(:empty)")) head.addEventListener("click", () => {
  const table = head.closest("table"), column = head.cellIndex, body = table.tBodies[0];
  const down = head.dataset.order !== "up"; head.dataset.order = down ? "up" : "down";
  const value = row => { const cell = row.cells[column]; return cell.dataset.value ?? cell.textContent; };
  const rows = [...body.rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    return x !== "" && y !== "" && !isNaN(x) && !isNaN(y) ? x - y : x.localeCompare(y);
  });
  body.append(...(down ? rows : rows.reverse()));
});
"""


def render(content: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The page.

    Args:
        content: of `budget.assess`.
        pictures: what each shows -> PNG.

    Returns:
        HTML that asks for nothing outside of itself.
    """
    run, kept = content["run"], content["connectivity"]
    accuracy = "" if run["accuracy"] is None else f"{run['accuracy']:.2%} on the {run['evaluated_on']} images, "
    lead = f"{accuracy}{kept['nonzero']:,} of {kept['prunable']:,} synapses ({kept['density']:.3%})"
    title = f"{run['model']} on {run['data']}, {run['method']}"
    parts = [
        f"<h1>{escape(title)}</h1><p class=lead>{escape(lead)}</p>",
        "<h2>Does it fit?</h2>" + _chips(content["chips"]),
        _useless(content["chips"]),
        "<h2>What each layer keeps</h2>" + _layers(content),
        "<h2>Operations and energy of one image</h2>" + _costs(content),
        "<h2>Connectivity</h2>",
        *(f"<img alt='{escape(name)}' src='data:image/png;base64,{_text(png)}'>" for name, png in pictures.items()),
        "<h2>What this assumes</h2>" + _assumptions(content),
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
        f"<meta name=viewport content='width=device-width'><meta {_ALONE}><style>{_STYLE}</style>{''.join(parts)}"
        f"<script>{_SCRIPT}</script></html>\n"
    )


def _chips(chips: Mapping[str, Mapping[str, Any]]) -> str:
    order = ("fits", "needs-more-chips", "cannot")
    rows = [
        [
            escape(name),
            f"<span class='verdict {chip['verdict']}'>{chip['verdict']}</span>",
            "<br>".join(map(escape, chip["reasons"])),
            "<br>".join(map(escape, chip["changes"])),
            escape(chip["zeros_free"]),
        ]
        for name, chip in sorted(chips.items(), key=lambda item: order.index(item[1]["verdict"]))
    ]
    return _table(["chip", "verdict", "why", "what would help", "an absent synapse frees"], rows)


def _useless(chips: Mapping[str, Mapping[str, Any]]) -> str:
    """Where pruning single synapses saves nothing, said plainly."""
    names = [name for name, chip in chips.items() if chip["zeros_free"] == "nothing"]
    if not names:
        return ""
    told = "Pruning single synapses saves no memory there; a cap on the fan-in, or removing whole channels, does."
    return f"<p><small>{escape(', '.join(names))}: {told}</small></p>"


def _layers(content: Mapping[str, Any]) -> str:
    done = content["operations"]["by_layer"]
    rows = [
        [
            escape(name),
            "x".join(map(str, row["shape"])),
            _number(row["nonzero"]),
            _number(row["prunable"]),
            (f"{row['density']:.3%}", row["density"]),
            _number(row["connections"]),
            _number(done[name]["operations"]),
            escape(done[name]["kind"] + (", once" if done[name]["once"] else "")),
        ]
        for name, row in content["connectivity"]["by_layer"].items()
    ]
    heads = ["layer", "shape", "synapses", "of", "density", "connections", "operations an image", "kind"]
    return _table(heads, rows)


def _costs(content: Mapping[str, Any]) -> str:
    operations, energy = content["operations"], content["energy"]
    rows = {
        "this network": energy["picojoules"],
        "the same spikes, all synapses": energy["if_dense"],
        "ANN twin, these synapses": energy["ann_twin"],
        "ANN twin, all synapses": energy["ann_twin_dense"],
    }
    most = max(rows.values()) or 1
    bars = [
        [
            escape(name),
            (f"{value / 1e3:,.1f}", value),
            f"<span class=bar style='width:{max(1, round(300 * value / most))}px'></span>",
        ]
        for name, value in rows.items()
    ]
    spread, done = operations["per_sample"], operations["synaptic_operations"]
    text = (
        f"{done:,.0f} synaptic operations (with all synapses {operations['if_dense']:,.0f}), from {spread['0%']:,.0f} "
        f"to {spread['100%']:,.0f} over {operations['samples']:,} images, in {operations['timesteps']} time steps; "
        f"{operations['multiply_accumulates']:,.0f} multiplications for analog inputs. "
        f"{energy['weight_bits'] / 8e3:,.1f} kB of weights at {energy['cost']}."
    )
    return f"<p>{escape(text)}</p>" + _table(["network", f"nJ at {energy['cost']}", ""], bars)


def _assumptions(content: Mapping[str, Any]) -> str:
    placed = {text for chip in content["chips"].values() for text in chip["assumptions"]}
    items = [*content["energy"]["assumptions"], *sorted(placed)]
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def _number(value: float) -> tuple[str, float]:
    return f"{value:,.0f}", value


def _table(heads: Sequence[str], rows: Sequence[Sequence[str | tuple[str, float]]]) -> str:
    """A table; a cell that is a pair is a number, as shown and as sorted."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td>{cell}</td>" if isinstance(cell, str) else f"<td class=number data-value='{cell[1]!r}'>{cell[0]}</td>"
            for cell in row
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(png: bytes) -> str:
    return base64.b64encode(png).decode("ascii")
