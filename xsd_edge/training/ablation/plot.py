"""Acceptance by what a token says, row by row, as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from xsd_edge.training.ablation.rows import BY_NAME
from xsd_edge.training.ablation.wording import KINDS
from xsd_edge.training.plot import blank, save


def draw(document: dict[str, Any], path: Path) -> None:
    """Write a PNG: a cell for each row and kind, on sharp frames.

    Raises:
        ExtraMissingError: matplotlib is not installed.
        TrainingError: the file cannot be written.
    """
    rows = document["conditions"]["sharp"]["rows"]
    shares = np.array(
        [[row["said"][kind] or np.nan for kind in KINDS] for row in rows.values()], np.float64
    )
    figure = blank("a plot", 8, 0.38 * len(rows) + 1.2)
    axes = figure.subplots()
    axes.imshow(shares, cmap="YlGnBu", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(KINDS)), KINDS)
    axes.set_yticks(range(len(rows)), [BY_NAME[name].title for name in rows])
    for (y, x), share in np.ndenumerate(shares):
        colour = "white" if share > 0.6 else "black"
        axes.text(x, y, f"{share:.2f}", ha="center", va="center", color=colour)
    axes.set_title("drafts accepted at T = 0, by what the token says")
    save(figure, path)
