"""Tables as text and as HTML, by hand."""

from snnprune.text import aligned, html_table

ROWS = [("layer", "synapses", "kind"), ("a<b>", "1,024", "x"), ("c\n", "7", "yy")]


def test_columns_are_aligned_and_a_cell_is_one_line():
    assert aligned(ROWS, left=(0, 2)) == "layer  synapses  kind\na<b>      1,024  x\nc\\n           7  yy"
    assert aligned(ROWS) == "layer  synapses  kind\na<b>      1,024     x\nc\\n           7    yy"


def test_an_html_table_has_one_row_of_heads_and_is_escaped():
    assert html_table(ROWS[:2], left=(0, 2)) == (
        "<table><thead><tr><th style='text-align:left'>layer</th><th style='text-align:right'>synapses</th>"
        "<th style='text-align:left'>kind</th></tr></thead><tbody><tr><td style='text-align:left'>a&lt;b&gt;</td>"
        "<td style='text-align:right'>1,024</td><td style='text-align:left'>x</td></tr></tbody></table>"
    )
    assert html_table(ROWS).count("<td style='text-align:left'>") == 2  # the first column alone
    assert html_table(ROWS).count("<tr>") == 3
