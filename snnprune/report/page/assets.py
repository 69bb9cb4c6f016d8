"""Style, script and policy of the page; it asks for nothing outside of itself."""

STYLE = """
:root { color-scheme: light dark; --ink: #22262a; --faint: #5c6369; --line: #e4e7ea; --paper: #fff; --bar: #0072b2;
  --fits: #00664b; --more: #8a5a00; --cannot: #a33c00; --focus: #0072b2; --shade: #0003; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ea; --faint: #a4abb2; --line: #3a4047; --paper: #16191c; --bar: #56a9dc;
    --fits: #5fd0a5; --more: #e3b34d; --cannot: #ff9466; --focus: #8cc8ef; --shade: #fff4; }
}
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 72rem;
  margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.lead { font-size: 1.05rem; margin: .2rem 0; } .faint, small, li { color: var(--faint); } li { font-size: .92rem; }
p.faint { margin-top: .2rem; }
.scroll { overflow-x: auto; overflow-wrap: normal; background:
  linear-gradient(to left, var(--paper) 40%, transparent) right / 2.5rem 100% no-repeat local,
  linear-gradient(to left, var(--shade), transparent) right / .8rem 100% no-repeat; }
.scroll:focus-visible { outline: 2px solid var(--focus); }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem 1rem .35rem 0; border-bottom: 1px solid var(--line); }
th { vertical-align: bottom; white-space: nowrap; } .stack th:last-child { white-space: normal; min-width: 9rem; }
td { white-space: nowrap; } td.text { white-space: normal; min-width: 14rem; }
td.name { white-space: normal; overflow-wrap: anywhere; min-width: 7.5rem; }
.line { display: block; padding-left: 1em; text-indent: -1em; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: 0;
  text-align: inherit; cursor: pointer; }
th button:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
th[aria-sort] button::after { content: "\\00a0\\2195"; color: var(--faint); }
th[aria-sort=ascending] button::after { content: "\\00a0\\2191"; color: inherit; }
th[aria-sort=descending] button::after { content: "\\00a0\\2193"; color: inherit; }
.verdict { font-weight: 600; } .fits { color: var(--fits); }
.needs-more-chips { color: var(--more); } .cannot { color: var(--cannot); }
.bar { background: var(--bar); height: .8rem; display: block; min-width: 1px; margin-top: .35rem; }
.bars { width: 45%; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; display: block; }
.picture { margin: .8rem 0; background: none; }
summary { cursor: pointer; padding: .3rem 0; }
@media (max-width: 40rem) { body { margin: 1rem auto; font-size: 15px; } img { max-width: none; }
  img[width] { width: 46rem; }
  table.stack, table.stack thead, table.stack tbody { display: block; }
  table.stack tr { display: flex; flex-wrap: wrap; gap: .1rem .8rem; padding: .5rem 0;
    border-bottom: 1px solid var(--line); }
  table.stack th, table.stack td { border: 0; padding: 0; min-width: 0; }
  table.stack td { flex-basis: 100%; text-align: left; white-space: normal; }
  table.stack td:nth-child(-n+2) { flex-basis: auto; } table.stack td:first-child { font-weight: 600; }
  table.stack td:empty, table.stack thead td { display: none; }
  table.stack td:nth-child(n+3):not(.bars)::before { content: attr(data-head) ": "; color: var(--faint); }
  .line:first-child { display: inline; padding: 0; } }
"""

# A browser refuses to fetch anything for this page.
POLICY = (
    "http-equiv=Content-Security-Policy "
    "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\""
)

# Sorts a table by the column whose button is pressed: numbers as numbers, pressed again in the other order.
SCRIPT = """
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.parentElement, table = head.closest("table"), body = table.tBodies[0], column = head.cellIndex;
  const order = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of table.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", order > 0 ? "ascending" : "descending");
  const value = row => { const cell = row.cells[column]; return cell.dataset.value ?? cell.textContent; };
  body.append(...[...body.rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    return order * (x !== "" && y !== "" && !isNaN(x) && !isNaN(y) ? x - y : x.localeCompare(y));
  }));
});
"""
