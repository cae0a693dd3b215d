"""SmoothQuant: outlier channels of a norm become smaller, the weights that read them larger.

Xiao et al. 2023, arXiv 2211.10438, with their alpha of 0.5: s_c = max|x_c|^0.5 / max|w_c|^0.5. The
norm is divided by s, the columns of the linear layers behind it are multiplied: the network
computes the same, and no operator is added.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from xsd_edge.calibration.ranges import PartRanges
from xsd_edge.models.norm_sites import NormSite, norm_sites

ALPHA = 0.5
LEAST = 1e-5  # a channel that is never used has no scale


@torch.no_grad()
def smooth(module: nn.Module, ranges: PartRanges) -> PartRanges:
    """Move scales across every norm of `module`, in place; returns the ranges it has then."""
    inputs = dict(ranges.inputs)
    channels = dict(ranges.channels)
    for site in norm_sites(module):
        before = torch.tensor(ranges.channels[site.norm])
        after = before / _move(module, site, before)
        channels[site.norm] = tuple(after.tolist())
        inputs |= dict.fromkeys(site.linears, float(after.max()))
    return replace(ranges, channels=channels, inputs=inputs)


def _move(module: nn.Module, site: NormSite, largest: Tensor) -> Tensor:
    """Scale one norm down and its linear layers up; returns by how much. [C]"""
    norm = module.get_submodule(site.norm)
    weights = [_parameter(module.get_submodule(path), "weight") for path in site.linears]
    columns = torch.stack([weight.abs().amax(0) for weight in weights]).amax(0)
    scale = largest.clamp(min=LEAST) ** ALPHA / columns.clamp(min=LEAST) ** (1 - ALPHA)
    for name in ("weight", "bias"):
        if getattr(norm, name, None) is not None:
            _parameter(norm, name).div_(scale)
    for weight in weights:
        weight.mul_(scale)
    return scale


def _parameter(layer: nn.Module, name: str) -> Tensor:
    found = getattr(layer, name)
    assert isinstance(found, Tensor)
    return found
