"""The loss plot of a run: one picture of all its phases' metrics files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from xsd_edge.errors import ExtraMissingError, TrainingError
from xsd_edge.training.loop import unwritable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMOOTHED = 0.02  # share of a phase's steps that one point of the smooth line averages


def blank(what: str, width: float, height: float) -> Figure:
    """An empty picture, in inches; without pyplot, so there is no display and no state.

    Raises:
        ExtraMissingError: matplotlib, which `what` needs, is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ExtraMissingError(what, "analysis") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a PNG.

    Raises:
        TrainingError: it cannot be written.
    """
    try:
        figure.savefig(path, format="png", dpi=120)
    except OSError as error:
        raise TrainingError(
            f"cannot write {path}: {error.strerror}; give another --plot"
        ) from error


def draw_losses(folder: Path) -> Path:
    """Draw `losses.png` from the folder's `*.jsonl`, oldest phase first; returns its path.

    There is at least one such file: a run has trained something.

    Raises:
        ExtraMissingError: matplotlib is not installed.
        TrainingError: the file cannot be written.
    """
    logs = sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    figure = blank("a loss plot", 4 * len(logs), 3)
    for log, axes in zip(logs, figure.subplots(1, len(logs), squeeze=False)[0], strict=True):
        losses = read_losses(log)
        width = max(1, round(len(losses) * SMOOTHED))
        smooth = [sum(losses[i : i + width]) / width for i in range(len(losses) - width + 1)]
        axes.plot(losses, color="#00798c", alpha=0.3)
        axes.plot(range(width - 1, len(losses)), smooth, color="#00798c")
        axes.set(title=log.stem, xlabel="step", ylabel="loss")
    path = folder / "losses.png"
    try:
        figure.savefig(path, format="png", dpi=120)
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def read_losses(log: Path) -> list[float]:
    """The loss of each step of a metrics file."""
    return [json.loads(line)["loss"] for line in log.read_text(encoding="utf-8").splitlines()]
