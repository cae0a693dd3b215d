"""The precision of training, against what the processor says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from xsd_edge.training.precision import fast_products, fast_type

CPUINFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(not CPUINFO.exists(), reason="only Linux says what its processor can")
def test_a_processor_trains_in_bfloat16_only_where_it_has_tiles_for_it() -> None:
    tiles = "amx_bf16" in CPUINFO.read_text(encoding="ascii", errors="replace").split()
    wanted = torch.bfloat16 if tiles else torch.float32
    assert fast_type(torch.device("cpu")) is wanted
    with fast_products(torch.device("cpu")):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype is wanted


def test_a_gpu_trains_in_bfloat16() -> None:
    assert fast_type(torch.device("cuda")) is torch.bfloat16
