"""A picture of a graph: populations from left to right in the order in which values reach them, projections as arrows."""

from collections.abc import Mapping
from html import escape

from .graph import Graph, Population, Projection

# Sizes in pixels.
_WIDTH, _HEIGHT, _ACROSS, _DOWN, _MARGIN = 172, 46, 250, 78, 24
_COLOURS = {
    "input": ("#e8eef7", "#3b6ea5"),
    "neuron": ("#e7f4ea", "#2f7d4f"),
    "comparison": ("#e7f4ea", "#2f7d4f"),
    "activation": ("#fdf3dc", "#b07a12"),
    "virtual": ("#f3f3f3", "#8a8a8a"),
    "output": ("#f6e8ee", "#a5416b"),
}
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.small{font-size:10px;fill:#555}"
    ".way{fill:none;stroke:#667;stroke-width:1.3}.back{stroke:#b5482a;stroke-dasharray:5 3}.plain{stroke:#9aa;stroke-width:1}"
)


def to_svg(graph: Graph) -> str:
    """Return a picture of a graph as SVG: boxes are populations, with their shape and number of units.

    An arrow is a projection with the name of its weights; thin ones have no weights, dashed ones reach back: they are
    recurrent, with their delay in time steps.
    """
    columns = _columns(graph)
    places = _places(graph, columns)
    width = 2 * _MARGIN + (max(columns.values(), default=0)) * _ACROSS + _WIDTH
    lowest = max((y for _, y in places.values()), default=0)
    back = [p for p in graph.projections if any(_reaches_back(columns, s, p.target) for s in p.sources)]
    height = lowest + _HEIGHT + _MARGIN + 22 * (len(back) + 1)
    lines = [_arrow(graph, p, s, places, columns, lowest, back) for p in graph.projections for s in p.sources]
    boxes = [_box(population, *places[name]) for name, population in graph.populations.items()]
    title = escape(f"{graph.network}: {graph.timesteps} time steps, inputs {', '.join(graph.layout)}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{title}"><title>{title}</title><style>{_STYLE}</style>'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#667"/></marker></defs>'
        f"{''.join(lines)}{''.join(boxes)}</svg>\n"
    )


def _columns(graph: Graph) -> dict[str, int]:
    """Return the column of each population: one more than the last of those before it; recurrence does not count."""
    order = {name: number for number, name in enumerate(graph.populations)}
    columns = dict.fromkeys(order, 0)
    for _ in order:
        for projection in graph.projections:
            for source, delay in zip(projection.sources, projection.delays, strict=True):
                target = projection.target
                forward = not delay and order[source] < order.get(target, -1)
                if forward and columns[target] <= columns[source]:
                    columns[target] = columns[source] + 1
    return columns


def _places(graph: Graph, columns: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return the left upper corner of each box; boxes of a column are one below the other."""
    used: dict[int, int] = {}
    places = {}
    for name in graph.populations:
        column = columns[name]
        row = used.get(column, 0)
        used[column] = row + 1
        places[name] = (_MARGIN + column * _ACROSS, _MARGIN + row * _DOWN)
    return places


def _reaches_back(columns: Mapping[str, int], source: str, target: str) -> bool:
    return columns.get(target, 0) <= columns[source]


def _box(population: Population, x: int, y: int) -> str:
    fill, stroke = _COLOURS[population.kind]
    shape = " x ".join(map(str, population.shape))
    below = f"{population.module or population.kind}, {shape}" + (f" = {population.size:,}" if " x " in shape else "")
    dash = ' stroke-dasharray="4 3"' if population.kind == "virtual" else ""
    return (
        f'<g><title>{escape(population.name)}: {escape(population.kind)}, {population.size:,} units</title>'
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="7" fill="{fill}" stroke="{stroke}"{dash}/>'
        f'<text x="{x + 9}" y="{y + 19}">{escape(_short(population.name, 24))}</text>'
        f'<text class="small" x="{x + 9}" y="{y + 36}">{escape(_short(below, 30))}</text></g>'
    )


def _arrow(
    graph: Graph,
    projection: Projection,
    source: str,
    places: Mapping[str, tuple[int, int]],
    columns: Mapping[str, int],
    lowest: int,
    back: list[Projection],
) -> str:
    if projection.target not in places:
        return ""
    (x, y), (u, v) = places[source], places[projection.target]
    delay = dict(zip(projection.sources, projection.delays, strict=True))[source]
    label = projection.parameter or ", ".join(projection.between)
    if delay:
        label += f", delay {delay}"
    kind = "way" + ("" if projection.parameter else " plain")
    if _reaches_back(columns, source, projection.target):
        kind += " back"
        level = lowest + _HEIGHT + 22 * (back.index(projection) + 1)
        start, end = x + _WIDTH // 2 + 12, u + _WIDTH // 2 - 12
        path = f"M{start} {y + _HEIGHT}C{start} {level} {start} {level} {(start + end) // 2} {level}S{end} {level} {end} {v + _HEIGHT}"
        at = ((start + end) // 2, level - 4)
    else:
        start, end, middle = (x + _WIDTH, y + _HEIGHT // 2), (u, v + _HEIGHT // 2), (x + _WIDTH + u) // 2
        path = f"M{start[0]} {start[1]}C{middle} {start[1]} {middle} {end[1]} {end[0]} {end[1]}"
        at = (u - 6, v + _HEIGHT // 2 - 6 - 11 * _place_among(graph, projection, source))
    anchor = "middle" if "back" in kind else "end"
    text = f'<text class="small" x="{at[0]}" y="{at[1]}" text-anchor="{anchor}">{escape(_short(label, 30))}</text>'
    return (
        f'<g><title>{escape(f"{projection.name}: {source} to {projection.target}, {projection.operation}")}</title>'
        f'<path class="{kind}" d="{path}" marker-end="url(#tip)"/>{text}</g>'
    )


def _place_among(graph: Graph, projection: Projection, source: str) -> int:
    """Return the number of the arrow among those that end at the same box, so that their names do not overlap."""
    ends = [(p.name, s) for p in graph.into(projection.target) for s in p.sources]
    names = list(dict.fromkeys(name for name, _ in ends))
    return names.index(projection.name)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"…{text[1 - most :]}"
