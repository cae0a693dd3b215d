"""What INT8 costs each layer, and which layers stay in floating point for it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from xsd_edge.calibration.batches import Feeds
from xsd_edge.calibration.ranges import PartRanges, is_product, rounded, watching

BUDGET = 0.08  # of a layer's output, as relative L2 error
LIMIT = 127


@torch.no_grad()
def costs(
    module: nn.Module, inputs: Sequence[str], batches: Sequence[Feeds], ranges: PartRanges
) -> dict[str, float]:
    """Relative L2 error of each layer's output when its input and weights are rounded to INT8.

    Every layer reads what the float network gives it, so that one pass judges all of them, and one
    layer's loss is not charged to the next.
    """
    layers = {path: layer for path, layer in module.named_modules() if is_product(layer)}
    quantized = {path: _rounded_weight(layer) for path, layer in layers.items()}
    sums: dict[str, tuple[float, float]] = {}

    def judge(path: str, x: Tensor, output: Tensor) -> None:
        layer, scale = layers[path], ranges.inputs[path] / LIMIT
        found = _product(layer, _round(x, torch.tensor(scale)), quantized[path])
        error, size = sums.get(path, (0.0, 0.0))
        sums[path] = (
            error + float((found - output).square().sum()),
            size + float(output.square().sum()),
        )

    with watching(module, set(layers), judge):
        for feeds in batches:
            module(*(torch.from_numpy(feeds[name]) for name in inputs))
    return {path: rounded((e / max(n, 1e-30)) ** 0.5) for path, (e, n) in sums.items()}


def too_costly(found: dict[str, float], budget: float = BUDGET) -> tuple[str, ...]:
    """The layers that stay in floating point, the costliest first."""
    over = [path for path, cost in found.items() if not cost <= budget]  # also: not a number
    return tuple(sorted(over, key=lambda path: -found[path]))


def _rounded_weight(layer: nn.Module) -> Tensor:
    """Each output channel with a scale of its own."""
    assert isinstance(layer, (nn.Linear, nn.Conv2d))
    weight = layer.weight.detach()
    largest = weight.abs().flatten(1).amax(1).clamp(min=1e-12)
    return _round(weight, (largest / LIMIT).reshape(-1, *[1] * (weight.dim() - 1)))


def _round(x: Tensor, scale: Tensor) -> Tensor:
    if not bool((scale > 0).all()):
        return torch.zeros_like(x)  # nothing but zeros was seen
    return torch.clamp(torch.round(x / scale), -LIMIT, LIMIT) * scale


def _product(layer: nn.Module, x: Tensor, weight: Tensor) -> Tensor:
    if isinstance(layer, nn.Conv2d):
        return nn.functional.conv2d(x, weight, layer.bias, layer.stride, layer.padding)
    assert isinstance(layer, nn.Linear)
    return nn.functional.linear(x, weight, layer.bias)
