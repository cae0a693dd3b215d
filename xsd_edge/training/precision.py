"""In which precision a machine trains."""

from __future__ import annotations

import torch


def fast_type(device: torch.device) -> torch.dtype:
    """bfloat16, but float32 on processors that have no instructions for it.

    Without them (AVX2) a product in bfloat16 takes seven times as long as in float32.
    """
    native = device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def fast_products(device: torch.device) -> torch.autocast:
    """Within, products are computed in `fast_type`."""
    kind = fast_type(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=kind is torch.bfloat16)
