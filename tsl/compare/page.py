"""A comparison as one HTML file with its pictures inside."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from io import BytesIO

import pandas as pd
from matplotlib.figure import Figure

from tsl.compare.comparison import Comparison
from tsl.compare.figures import WORDS
from tsl.compare.measures import MINIBATCH

ROWS = 400
"""The largest number of nodes in a table; `nodes.parquet` has all."""

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; font-size: 13px; } th, td { padding: .2rem .6rem; text-align: right; }
th { border-bottom: 1px solid #888; } td:first-child, th:first-child { text-align: left; }
tr:nth-child(even) td { background: #f6f6f6; } .scroll { max-height: 26rem; overflow: auto; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; } img { max-width: min(100%, 46rem); } .note { color: #555; }
"""

EXPLANATION = (
    "Higher is closer; 1 means the same. <b>null</b> is the measure with the inputs of the second network exchanged: "
    "its value by chance alone. <b>low</b> and <b>high</b> are a 95 % interval over inputs (delete-a-group jackknife). "
    "Single nodes are compared over samples. A sample is an input, or a position of a map or token if both layers have "
    "them. Maps of two sizes are averaged to the smaller size; other layers are averaged over their positions. "
    "Minibatch CKA compares whole flattened outputs by the unbiased estimate in small batches."
)


def make_page(
    comparison: Comparison,
    names: Sequence[str],
    pictures: Sequence[tuple[str, Figure]],
    nodes: pd.DataFrame | None,
    notes: Sequence[str],
) -> str:
    """The page as HTML.

    Args:
        comparison: The results.
        names: Names of the networks.
        pictures: Headings and figures; the figures of one heading are shown side by side.
        nodes: Node tables to show.
        notes: Notes for the reader, shown on the page.
    """
    said = "".join(f"<li>{escape(note)}</li>" for note in notes)
    parts = [
        f"<h1>{escape(' · '.join(names))}</h1>",
        f"<p class=note>{comparison.inputs:,} inputs. {EXPLANATION}</p>",
        f"<ul>{said}</ul>" if said else "",
    ]
    for heading in dict.fromkeys(heading for heading, _ in pictures):
        images = "".join(_image(figure) for told, figure in pictures if told == heading)
        parts.append(f"<h2>{escape(heading)}</h2><div class=pictures>{images}</div>")
    parts.append("<h2>Each layer and the closest one of the other network</h2>" + _table(closest_rows(comparison)))
    if nodes is not None:
        more = f" (the first {ROWS} of {len(nodes):,}; all are in nodes.parquet)" if len(nodes) > ROWS else ""
        parts.append(f"<h2>Nodes{more}</h2>" + _table(nodes.head(ROWS)))
    parts.append("<h2>All pairs of layers</h2><p class=note>They are in layers.parquet, with the kind of samples.</p>")
    body = "\n".join(parts)
    title = escape(" · ".join(names))
    meta = "<meta charset=utf-8><meta name=viewport content='width=device-width'>"
    head = f"<!DOCTYPE html><html lang=en>{meta}<title>{title}</title><style>{STYLE}</style>"
    return f"{head}<body>{body}</body></html>\n"


def closest_rows(comparison: Comparison) -> pd.DataFrame:
    """For each measure and layer of network a, the row of the layer of b with the largest value."""
    rows = comparison.layers.dropna(subset=["value"])
    best = rows.loc[rows.groupby(["network_a", "network_b", "measure", "layer_a"], sort=False)["value"].idxmax()]
    order = [name for name in (MINIBATCH, *WORDS) if name in set(best["measure"])]
    best = best.sort_values("measure", key=lambda names: names.map(order.index), kind="stable")
    columns = ["measure", "network_a", "layer_a", "network_b", "layer_b", "value", "null", "low", "high", "samples_a"]
    return best[columns].rename(columns={"samples_a": "samples are"})


def _table(frame: pd.DataFrame) -> str:
    return f"<div class=scroll>{frame.to_html(index=False, border=0, float_format='{:.3f}'.format, na_rep='')}</div>"


def _image(figure: Figure) -> str:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return f'<img src="data:image/png;base64,{b64encode(buffer.getvalue()).decode()}" alt="">'
