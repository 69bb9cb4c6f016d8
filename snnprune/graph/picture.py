"""A picture of a graph: populations from top to bottom in the order in which values reach them."""

import os
from collections.abc import Mapping
from html import escape
from pathlib import Path

from ..errors import InputError, shortened
from ..storage import as_path, write_text
from .graph import Graph, Population, Projection

# Sizes in pixels: of boxes, between them, around them, and of the steps by which arcs keep apart.
_WIDTH, _HEIGHT, _DOWN, _MARGIN, _APART = 250, 40, 84, 20, 26
_COLOURS = {
    "input": ("#e8eef7", "#3b6ea5"),
    "neuron": ("#e7f4ea", "#2f7d4f"),
    "comparison": ("#e7f4ea", "#2f7d4f"),
    "activation": ("#fdf3dc", "#b07a12"),
    "virtual": ("#f3f3f3", "#8a8a8a"),
    "output": ("#f6e8ee", "#a5416b"),
}
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.small{font-size:10.5px;fill:#555}.way{fill:none;stroke:#556;"
    "stroke-width:1.4}.back{stroke:#b5482a;stroke-dasharray:5 3}.plain{stroke:#9ab;stroke-width:1.1}"
)
# Connections: the projection, its source, and the delay.
_Link = tuple[Projection, str, int]


def save_picture(graph: Graph, path: str | os.PathLike[str]) -> Path:
    """Write the picture of a graph to a file, and return its path.

    Raises:
        InputError: a name that does not end with .svg, or a file that cannot be written.
    """
    out = as_path(path)
    if out.suffix != ".svg":
        raise InputError(f"the picture of a graph is an .svg file, found {shortened(str(path))}: name it so")
    write_text(out, to_svg(graph))
    return out


def to_svg(graph: Graph) -> str:
    """Return a picture of a graph as SVG.

    Boxes are populations with their shape and number of units. An arrow is a projection with the name of its weights;
    pale ones have no weights, those on the right pass others by, and dashed ones on the left are recurrent, with
    their delay in time steps.
    """
    order = {name: number for number, name in enumerate(_order(graph))}
    links: list[_Link] = [
        (projection, source, delay)
        for projection in graph.projections
        for source, delay in zip(projection.sources, projection.delays, strict=True)
        if projection.target in order
    ]
    back = [link for link in links if order[link[0].target] <= order[link[1]]]
    skips = [link for link in links if order[link[0].target] - order[link[1]] > 1]
    longest, beside = (
        max((6 * len(_label(*link)) for link in found), default=0)
        for found in (skips, [link for link in links if link not in skips and link not in back])
    )
    left = _MARGIN + (30 + _APART * len(back) + max(6 * len(_label(*link)) for link in back) if back else 0)
    right = left + max(_WIDTH, 70 + beside)  # arcs begin beside the names of straight arrows
    width = right + _MARGIN + (_APART * (_levels(skips, order) + 1) + longest if skips else 0)
    height = 2 * _MARGIN + (len(order) - 1) * _DOWN + _HEIGHT
    title = escape(f"{graph.network}: {graph.timesteps} time steps, inputs {', '.join(graph.layout)}")
    parts = [_arrow(link, order, (left, right), links, skips, back) for link in links]
    parts += [_box(graph.populations[name], left, _MARGIN + number * _DOWN) for name, number in order.items()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{title}"><title>{title}</title><style>{_STYLE}</style>'
        '<rect width="100%" height="100%" fill="white"/>'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#556"/></marker></defs>'
        f"{''.join(parts)}</svg>\n"
    )


def _order(graph: Graph) -> list[str]:
    """Return the populations so that each stands below its sources, as far as there is no recurrence."""
    before: dict[str, set[str]] = {name: set() for name in graph.populations}
    for projection in graph.projections:
        for source, delay in zip(projection.sources, projection.delays, strict=True):
            if not delay and projection.target in before and source != projection.target:
                before[projection.target].add(source)
    left, found = list(graph.populations), []
    while left:
        ready = next((name for name in left if not before[name] & set(left)), left[0])
        left.remove(ready)
        found.append(ready)
    return found


def _levels(links: list[_Link], order: Mapping[str, int]) -> int:
    """Return the number of steps by which arcs are kept apart."""
    return max((_level(link, links, order) for link in links), default=0) + 1


def _level(link: _Link, links: list[_Link], order: Mapping[str, int]) -> int:
    """Return how far out an arc runs: outside of all arcs that it spans and that were drawn before."""
    first, last = sorted((order[link[1]], order[link[0].target]))
    number = links.index(link)
    inside = [
        _level(other, links[:number], order)
        for other in links[:number]
        if (span := sorted((order[other[1]], order[other[0].target])))[0] < last and span[1] > first
    ]
    return max(inside, default=-1) + 1


def _box(population: Population, x: int, y: int) -> str:
    fill, stroke = _COLOURS[population.kind]
    shape = " x ".join(map(str, population.shape))
    below = f"{population.module or population.kind}: {shape}" + (f" = {population.size:,}" if " x " in shape else "")
    dash = ' stroke-dasharray="4 3"' if population.kind == "virtual" else ""
    return (
        f"<g><title>{escape(population.name)}: {escape(population.kind)}, {population.size:,} units</title>"
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="7" fill="{fill}" stroke="{stroke}"{dash}/>'
        f'<text x="{x + 10}" y="{y + 17}">{escape(_short(population.name, 36))}</text>'
        f'<text class="small" x="{x + 10}" y="{y + 32}">{escape(_short(below, 44))}</text></g>'
    )


def _arrow(
    link: _Link,
    order: Mapping[str, int],
    sides: tuple[int, int],
    links: list[_Link],
    skips: list[_Link],
    back: list[_Link],
) -> str:
    x, right = sides
    projection, source, delay = link
    top, bottom = (_MARGIN + order[name] * _DOWN for name in (source, projection.target))
    kind = "way" + ("" if projection.parameter else " plain") + (" back" if link in back else "")
    label = _label(projection, source, delay)
    if link in back:
        out = x - 30 - _APART * back.index(link)
        start, end = top + _HEIGHT - 10, bottom + 10
        path, anchor, at = f"M{x} {start}C{out} {start} {out} {end} {x} {end}", "end", (out + 2, (start + end) // 2 + 4)
    elif link in skips:
        edge = x + _WIDTH
        out = right + _APART * _level(link, skips, order)
        start, end = top + _HEIGHT - 8, bottom + 8 + 5 * (skips.index(link) % 4)
        path = f"M{edge} {start}C{out} {start} {out} {start} {out} {start + 30}V{end - 30}"
        path += f"C{out} {end} {out} {end} {edge} {end}"
        anchor, at = "start", (out + 5, (start + end) // 2 + 10 * (skips.index(link) % 3) - 6)
    else:
        alike = [other for other in links if (other[1], other[0].target) == (source, projection.target)]
        middle = x + 60 + 130 * alike.index(link)
        path, anchor, at = (
            f"M{middle} {top + _HEIGHT}V{bottom}",
            "start",
            (middle + 7, (top + _HEIGHT + bottom) // 2 + 4),
        )
    return (
        f"<g><title>{escape(f'{projection.name}: {source} to {projection.target}, {projection.operation}')}</title>"
        f'<path class="{kind}" d="{path}" marker-end="url(#tip)"/>'
        f'<text class="small" x="{at[0]}" y="{at[1]}" text-anchor="{anchor}">{escape(label)}</text></g>'
    )


def _label(projection: Projection, _source: str, delay: int) -> str:
    named = projection.name.removesuffix(".weight") if projection.operation != "identity" else ""
    known = [part for part in (_short(named, 34), _kernel(projection), *projection.between[:2]) if part]
    return ", ".join([*known, *([f"delay {delay}"] if delay else [])])


def _kernel(projection: Projection) -> str:
    return {"convolution": "conv", "transposed": "transposed conv", "product": "product"}.get(projection.operation, "")


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"…{text[1 - most :]}"
