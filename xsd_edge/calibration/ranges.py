"""Activation ranges: what a calibration set's clips gave, and the JSON file that keeps them.

The file stands beside the set, `calibration/NAME.json`, and says of which models and which clips it
is. Export reads it where both hashes are its own, and measures where they are not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xsd_edge.calibration.batches import Feeds
from xsd_edge.errors import RecipeError
from xsd_edge.models.norm_sites import norm_sites

DIGITS = 6  # kept of a range; on another processor the last one may differ


@dataclass(frozen=True, slots=True)
class PartRanges:
    """Largest magnitudes of what one part's layers read; layers by their module path."""

    channels: dict[str, tuple[float, ...]]  # what each of `norm_sites` puts out, per channel
    inputs: dict[str, float]  # of every linear layer and convolution
    costs: dict[str, float] = field(default_factory=dict)  # of INT8, per layer: export.sensitivity


@dataclass(frozen=True, slots=True)
class Ranges:
    """All parts' ranges, and the hashes of the models and clips that gave them."""

    model: str
    data: str
    parts: dict[str, PartRanges]

    def to_json(self) -> str:
        """One line per layer; the same ranges give the same bytes."""
        parts = []
        for name, part in sorted(self.parts.items()):
            kinds = []
            for kind, table in sorted(asdict(part).items()):
                rows = [f'    "{path}": {json.dumps(table[path])}' for path in sorted(table)]
                kinds.append(f'   "{kind}": {{' + "\n" * bool(rows) + ",\n".join(rows) + "}")
            parts.append(f'  "{name}": {{\n' + ",\n".join(kinds) + "}")
        hashes = f' "data": "{self.data}",\n "model": "{self.model}",\n'
        return "{\n" + hashes + ' "parts": {\n' + ",\n".join(parts) + "}\n}\n"

    @classmethod
    def load(cls, path: Path) -> Ranges | None:
        """The ranges of a file, or None where there is none.

        Raises:
            RecipeError: the file is not what `to_json` writes.
        """
        if not path.is_file():
            return None
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            parts = {name: _part(part) for name, part in raw["parts"].items()}
            return cls(str(raw["model"]), str(raw["data"]), parts)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecipeError(
                f"{path} is not a file of ranges ({error}); make it with: xsd-edge calibrate"
            ) from error


def _part(raw: dict[str, Any]) -> PartRanges:
    channels = {k: tuple(map(float, v)) for k, v in raw["channels"].items()}
    inputs, costs = ({k: float(v) for k, v in raw[kind].items()} for kind in ("inputs", "costs"))
    return PartRanges(channels, inputs, costs)


@torch.no_grad()
def measure(module: nn.Module, inputs: Sequence[str], batches: Sequence[Feeds]) -> PartRanges:
    """Run `batches` through a part in float32 and keep the extremes; `inputs` orders its feeds."""
    channels: dict[str, Tensor] = {}
    largest: dict[str, Tensor] = {}
    norms = {site.norm for site in norm_sites(module)}

    def widen(kept: dict[str, Tensor], path: str, found: Tensor) -> None:
        kept[path] = torch.maximum(kept[path], found) if path in kept else found

    with watching(module, norms, lambda path, _, out: widen(channels, path, _per_channel(out))):
        layers = {path for path, layer in module.named_modules() if is_product(layer)}
        with watching(module, layers, lambda path, x, _: widen(largest, path, x.abs().amax())):
            for feeds in batches:
                module(*(torch.from_numpy(feeds[name]) for name in inputs))
    return PartRanges(
        {path: tuple(rounded(x) for x in found.tolist()) for path, found in channels.items()},
        {path: rounded(found.item()) for path, found in largest.items()},
    )


def is_product(layer: nn.Module) -> bool:
    """Does INT8 concern this layer?"""
    return isinstance(layer, (nn.Linear, nn.Conv2d))


@contextmanager
def watching(module: nn.Module, paths: set[str], seen: Any) -> Iterator[None]:
    """Call `seen(path, input, output)` after each run of the named layers."""

    def hook(path: str) -> Any:
        return lambda _, inputs, output: seen(path, inputs[0], output)

    layers = dict(module.named_modules())
    handles = [layers[path].register_forward_hook(hook(path)) for path in sorted(paths)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _per_channel(x: Tensor) -> Tensor:  # [..., C] -> [C]
    return x.abs().flatten(0, -2).amax(0)
