"""Tables of papers and pages: LaTeX and HTML."""

from __future__ import annotations

import pytest

import scalefit as sf

ROWS = [("XS", 1.4e7, 3e8, 3.912), ("S", 6e7, 1.2e9, 3.402), ("M", 1.6e8, 3.2e9, 3.051), ("L", 4.1e8, 8.2e9, 2.774)]
PAPER = r"""
We train four models \& report the loss.
\begin{table}[t]
\caption{Losses, 3 & 4.}
\begin{tabular}{@{}lrr|r@{}} \toprule
\textbf{Model} & Params & Tokens & Val.\ loss \\ \midrule
XS & 14M  & 0.3B & $3.912$ \\   % the smallest
S  & 60M  & 1.2B &
     3.402 \\[2pt]
M  & 160M & 3.2B & \textbf{3.051} \\
L  & 410M & 8.2B & $2.774 \pm 0.004$ \\ \bottomrule
\end{tabular}
\end{table}
"""
PAGE = """<html><body><p>Results</p><table class="x"><thead>
<tr><th>Model</th><th>Params</th><th>Tokens</th><th>Val loss</th></tr></thead><tbody>
{}
</tbody></table><table><tr><td>a</td><td>b</td></tr><tr><td>1</td><td>2</td></tr></table></body></html>
"""


def of_page(line="\n"):
    cells = [
        f"<tr><td>{name}</td><td>{N / 1e6:g}M</td><td>{D / 1e9:g}B</td><td><b>{loss}</b><sup>1</sup></td></tr>"
        for name, N, D, loss in ROWS
    ]
    return PAGE.format(line.join(cells))


def assert_planted(runs):
    table = runs.table
    assert table["N"].tolist() == pytest.approx([row[1] for row in ROWS])
    assert table["D"].tolist() == pytest.approx([row[2] for row in ROWS])
    assert table["loss"].tolist() == [row[3] for row in ROWS]


@pytest.mark.parametrize("name", ["paper.tex", "paper.txt", "notes.md"])
def test_a_table_of_latex(tmp_path, name):
    (tmp_path / name).write_text(PAPER)
    assert_planted(sf.read_runs(tmp_path / name))


def test_rows_of_latex_without_their_tabular(tmp_path):
    rows = [f"{name} & {N / 1e6:g}M & {D / 1e9:g}B & {loss} \\\\" for name, N, D, loss in ROWS]
    (tmp_path / "rows.txt").write_text("\n".join(["Model & Params & Tokens & Val loss \\\\", "\\hline", *rows]) + "\n")
    assert_planted(sf.read_runs(tmp_path / "rows.txt"))


@pytest.mark.parametrize("line", ["\n", ""], ids=["a line a row", "one line"])
@pytest.mark.parametrize("name", ["page.html", "page.htm", "page.md"])
def test_a_table_of_html(tmp_path, name, line):
    (tmp_path / name).write_text(of_page(line))
    runs = sf.read_runs(tmp_path / name)
    assert_planted(runs)
    assert any("1 other tables of the file" in note.text for note in runs.notes)


@pytest.mark.parametrize("form", ["tex", "html"])
def test_cells_that_span_rows_and_columns(tmp_path, form):
    if form == "tex":
        rows = [
            r"\multirow{2}{*}{Width} & \multicolumn{2}{c}{Loss} \\",
            r" & train & val \\",
            *(
                rf"\multirow{{2}}{{*}}{{{w}}} & {3 + w / 1e3} & {3.1 + w / 1e3} \\"
                + "\n"
                + rf" & {3.01 + w / 1e3} & {3.11 + w / 1e3} \\"
                for w in (64, 128)
            ),
        ]
        text = "\\begin{tabular}{lrr}\n" + "\n".join(rows) + "\n\\end{tabular}\n"
    else:
        rows = [
            f"<tr><td rowspan=2>{w}</td><td>{3 + w / 1e3}</td><td>{3.1 + w / 1e3}</td></tr>"
            f"<tr><td>{3.01 + w / 1e3}</td><td>{3.11 + w / 1e3}</td></tr>"
            for w in (64, 128)
        ]
        head = "<tr><th rowspan=2>Width</th><th colspan=2>Loss</th></tr><tr><th>train</th><th>val</th></tr>"
        text = f"<table>{head}{''.join(rows)}</table>"
    (tmp_path / f"t.{form}").write_text(text)
    table = sf.read_runs(tmp_path / f"t.{form}", rename={"Loss/val": "loss"}).table
    assert table["d_model"].astype(float).tolist() == [64, 64, 128, 128]
    assert table["loss"].tolist() == pytest.approx([3.164, 3.174, 3.228, 3.238])
    assert table["Loss/train"].tolist() == pytest.approx([3.064, 3.074, 3.128, 3.138])


@pytest.mark.parametrize(
    "text", ["<table></table>", "<table><tr><td>1</td></tr></table>", "\\begin{tabular}{l}\n\\end{tabular}"]
)
def test_a_table_without_rows_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "t.html").write_text(text)
    with pytest.raises(sf.InputError, match="no table with a header and rows") as error:
        sf.read_runs(tmp_path / "t.html")
    assert "CSV" in error.value.todo


@pytest.mark.parametrize(
    ("name", "what"), [("a.ipynb", "a notebook"), ("c.yaml", "a file of settings"), ("p.pdf", "a PDF")]
)
def test_files_of_other_kinds_are_named_by_their_ending(tmp_path, name, what):
    (tmp_path / name).write_text('{"cells": []}' if name == "a.ipynb" else "lr: 1e-3\n")
    with pytest.raises(sf.InputError, match=what):
        sf.read_runs(tmp_path / name)


@pytest.mark.parametrize("end", [r" \\ \hline \end{tabular}", r" \\\end{tabular}", r" \end{tabular}"])
def test_a_row_before_the_end_of_the_table_on_its_line_is_read(tmp_path, end):
    (tmp_path / "paper.tex").write_text(
        "\\begin{tabular}{lr}\nN & loss \\\\\n1M & 3.5 \\\\\n2M & 3.25" + end + "\nText & more.\n"
    )
    table = sf.read_runs(tmp_path / "paper.tex", need=()).table
    assert table["N"].tolist() == [1e6, 2e6] and table["loss"].tolist() == [3.5, 3.25]
