"""Style, script and policy of the page; it asks for nothing outside of itself."""

STYLE = """
:root { color-scheme: light dark; --ink: #22262a; --faint: #5c6369; --line: #e4e7ea; --paper: #fff; --bar: #0072b2;
  --fits: #00664b; --more: #8a5a00; --cannot: #a33c00; --focus: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ea; --faint: #a4abb2; --line: #3a4047; --paper: #16191c; --bar: #56a9dc;
    --fits: #5fd0a5; --more: #e3b34d; --cannot: #ff9466; --focus: #8cc8ef; }
}
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 68rem;
  margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.lead { font-size: 1.05rem; margin: .2rem 0; } .faint, small, li { color: var(--faint); } li { font-size: .92rem; }
.scroll { overflow-x: auto; overflow-wrap: normal; } .scroll:focus-visible { outline: 2px solid var(--focus); }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); }
td { min-width: 5rem; } td.text { min-width: 12rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th { white-space: nowrap; } th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0;
  padding: 0; cursor: pointer; } th button:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
th[aria-sort] button::after { content: " \\2195"; color: var(--faint); }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
.verdict { font-weight: 600; white-space: nowrap; } .fits { color: var(--fits); }
.needs-more-chips { color: var(--more); } .cannot { color: var(--cannot); }
.bar { background: var(--bar); height: .8rem; display: block; min-width: 1px; } .bars { width: 12rem; max-width: 30vw; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
summary { cursor: pointer; padding: .3rem 0; }
@media (max-width: 40rem) { body { margin: 1rem auto; font-size: 15px; }
  table.stack thead { display: none; }
  table.stack tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  table.stack td { display: block; border: 0; padding: .1rem 0; min-width: 0; text-align: left; white-space: normal; }
  table.stack td[data-head]:not(:empty)::before { content: attr(data-head) ": "; color: var(--faint); } }
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
  const up = head.getAttribute("aria-sort") !== "ascending";
  for (const other of table.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const value = row => { const cell = row.cells[column]; return cell.dataset.value ?? cell.textContent; };
  const rows = [...body.rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    return x !== "" && y !== "" && !isNaN(x) && !isNaN(y) ? x - y : x.localeCompare(y);
  });
  body.append(...(up ? rows : rows.reverse()));
});
"""
