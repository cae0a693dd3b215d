"""The plot page: clouds before and after alignment, acceptance beside its bounds, entropies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xsd_edge.analysis.distances import Cloud
from xsd_edge.analysis.features import comparable
from xsd_edge.analysis.report import Analysis, Gap
from xsd_edge.training.plot import blank, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EVENTS, VIDEO, THIRD = "#d1495b", "#00798c", "#edae49"


def draw(found: Analysis, title: str, path: Path) -> None:
    """Write a PNG.

    Raises:
        ExtraMissingError: matplotlib is not installed.
        TrainingError: the file cannot be written.
    """
    figure = blank("a plot", 12, 8)
    axes = figure.subplots(2, 2)
    features = found.features
    _clouds(axes[0, 0], features.raw, features.video, "before alignment", found.before)
    _clouds(axes[0, 1], features.aligned, features.video, "after alignment", found.after)
    _acceptance(axes[1, 0], found)
    _entropies(axes[1, 1], found)
    figure.suptitle(title)
    save(figure, path)


def _clouds(axes: Axes, events: Cloud, video: Cloud, when: str, gap: Gap) -> None:
    x, y = comparable(events, video)
    both = np.concatenate([x, y])
    _, _, directions = np.linalg.svd(both - both.mean(0), full_matrices=False)
    flat = (both - both.mean(0)) @ directions[:2].T  # [2n, 2], the two main directions
    for part, colour, name in (
        (flat[: len(x)], EVENTS, "events"),
        (flat[len(x) :], VIDEO, "video"),
    ):
        axes.scatter(part[:, 0], part[:, 1], s=9, color=colour, label=name)
    axes.set_title(
        f"{when}: W2 {gap.wasserstein:.2f}, $MMD^2$ {gap.squared_mmd:.2f}, "
        f"CKA {gap.linear_cka:.2f}, $I \\geq$ {gap.info_nce_nats:.2f} nats",
        fontsize=9,
    )
    axes.legend()


def _acceptance(axes: Axes, found: Analysis) -> None:
    rows = found.by_position
    place = np.arange(1, len(rows) + 1)
    axes.bar(
        place, [r.one_minus_tv for r in rows], color=VIDEO, label=r"$\alpha = 1 - E[TV(p, q)]$"
    )
    axes.plot(place, [r.accepted for r in rows], "ko", label="accepted")
    for label, values, style in (
        (r"Pinsker, $1 - \sqrt{KL(q\|p)/2}$", [r.pinsker_qp for r in rows], "-"),
        (r"$e^{-KL(q\|p)}/2$", [r.half_exponential_qp for r in rows], "--"),
    ):
        axes.plot(place, values, style, color=EVENTS, label=label)
    axes.plot(
        place,
        [r.two_to_minus_entropy for r in rows],
        ":",
        color=THIRD,
        label=r"$2^{-H(p)}$: no bound",
    )
    axes.set(xlabel="draft position", xticks=place, ylim=(0, 1.05), title="acceptance and bounds")
    axes.legend(fontsize=8)


def _entropies(axes: Axes, found: Analysis) -> None:
    rows = found.by_position
    place = np.arange(1, len(rows) + 1)
    axes.plot(place, [r.target_entropy for r in rows], "o-", color=VIDEO, label="target H(p)")
    axes.plot(place, [r.drafter_entropy for r in rows], "o-", color=EVENTS, label="drafter H(q)")
    axes.set(xlabel="draft position", xticks=place, ylabel="nats", title="entropy")
    axes.legend()
