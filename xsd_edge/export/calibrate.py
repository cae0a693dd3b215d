"""`xsd-edge calibrate`: the ranges of a recipe's networks; and the ones that an export uses."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import torch

from xsd_edge.calibration.batches import Feeds, Pair, batches
from xsd_edge.calibration.clips import CalibrationSet, Clip, digest, set_path
from xsd_edge.calibration.ranges import PartRanges, Ranges, measure
from xsd_edge.checkpoint_recipe import AnyRecipe
from xsd_edge.export.networks import Network
from xsd_edge.export.pair import load, networks_of
from xsd_edge.export.sensitivity import costs
from xsd_edge.export.smoothing import smooth

Report = Callable[[str], None]
Progress = Callable[[str, int, int, Mapping[str, float]], None]


def write_ranges(
    recipe: AnyRecipe,
    path: Path | None,
    *,
    cache: Path,
    report: Report,
    progress: Progress,
) -> Path:
    """Measure a recipe's ranges and write them to `path`, or beside its calibration set.

    Raises:
        TrainingError, AssetError, RecipeError: as `export_bundle`.
    """
    found = set_path(recipe.name)
    calibration = CalibrationSet.load(recipe.name)
    pair, _, hashes = load(recipe, cache, report)
    clips = list(calibration.clips(pair.world, pair.clip, report))
    ranges = measured(pair, networks_of(pair), clips, model_digest(hashes), progress)
    written = path or found.with_suffix(".json")
    written.write_text(ranges.to_json(), encoding="utf-8")
    return written


def ranges_for(
    pair: Pair,
    networks: Sequence[Network],
    clips: Sequence[Clip],
    model: str,
    report: Report,
    progress: Progress,
) -> Ranges:
    """The committed ranges where they are of these models and clips, else newly measured ones."""
    path = set_path(pair.name).with_suffix(".json")
    committed = Ranges.load(path)
    if committed and (committed.model, committed.data) == (model, digest(clips)):
        report(f"ranges: from {path}")
        return committed
    why = "of other models or clips" if committed else "not there"
    report(f"ranges: {path} is {why}; measuring on {len(clips)} clips")
    return measured(pair, networks, clips, model, progress)


def measured(
    pair: Pair,
    networks: Sequence[Network],
    clips: Sequence[Clip],
    model: str,
    progress: Progress,
) -> Ranges:
    """Run every clip through the pair, then every network over what it read."""
    feeds: dict[str, list[Feeds]] = {}
    parts = {}
    with one_thread():
        for done, clip in enumerate(clips, 1):
            for part, found in batches(pair, [clip]).items():
                feeds.setdefault(part, []).extend(found)
            progress("clips", done, len(clips), {})
        for done, network in enumerate(networks, 1):
            parts[network.name] = part_ranges(network, feeds[network.name])
            progress("ranges", done, len(networks), {})
    return Ranges(model, digest(clips), parts)


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one core: how many share a sum shows in its last digits, and here each counts."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def part_ranges(network: Network, feeds: Sequence[Feeds]) -> PartRanges:
    """One network's ranges, and what INT8 costs its layers once they are smoothed."""
    found = measure(network.module, network.inputs, feeds)
    smoothed = copy.deepcopy(network.module)
    after = smooth(smoothed, found)
    return replace(found, costs=costs(smoothed, network.inputs, feeds, after))


def model_digest(hashes: Mapping[str, str]) -> str:
    """One hash of all weights that a pair was loaded from."""
    return sha256(repr(sorted(hashes.items())).encode()).hexdigest()
