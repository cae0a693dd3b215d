"""In which precision a machine trains."""

from __future__ import annotations

import torch


def fast_type(device: torch.device) -> torch.dtype:
    """bfloat16, but float32 on processors without tiles for it (AMX).

    There a product in bfloat16 takes 1.7 times as long as in float32 (AVX-512 with its bfloat16
    instructions) or seven times (AVX2), though oneDNN calls both supported.
    """
    native = device.type != "cpu" or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


def fast_products(device: torch.device) -> torch.autocast:
    """Within, products are computed in `fast_type`."""
    kind = fast_type(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=kind is torch.bfloat16)
