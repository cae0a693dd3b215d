"""INT4 by GPTQ: closer than round to nearest, exact where it can be, in the builder's own nodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from torch import Tensor, nn

from xsd_edge.calibration.batches import Pair, prompts
from xsd_edge.calibration.clips import scene_clip
from xsd_edge.errors import BundleError
from xsd_edge.export.gptq import (
    BLOCK,
    HIGHEST,
    LOWEST,
    Rounded,
    inverse_root,
    round_language_model,
    round_weight,
)
from xsd_edge.export.target import TargetGraph, export_target
from xsd_edge.export.target_surgery import put_rounded

pytestmark = pytest.mark.host


def correlated(rows: int, width: int, seed: int = 0) -> Tensor:
    """What layers read: a few directions have most of it."""
    maker = torch.Generator().manual_seed(seed)
    few = torch.randn(rows, width // 8, generator=maker)
    spread = torch.randn(width // 8, width, generator=maker)
    return few @ spread + 0.1 * torch.randn(rows, width, generator=maker)


def to_nearest(weight: Tensor) -> Rounded:
    return round_weight(weight, torch.eye(weight.shape[1]))


def lost(rounded: Rounded, weight: Tensor, x: Tensor) -> float:
    return float((x @ (rounded.weight() - weight).T).square().mean())


@pytest.mark.parametrize("seed", range(3))
def test_less_is_lost_than_by_rounding_to_nearest(seed: int) -> None:
    weight, x = torch.randn(48, 128), correlated(400, 128, seed)
    root = inverse_root(x.T @ x)
    assert lost(round_weight(weight, root), weight, x) < 0.5 * lost(to_nearest(weight), weight, x)
    unseen = correlated(400, 128, seed)[torch.randperm(400)[:200]]
    assert lost(round_weight(weight, root), weight, unseen) < lost(to_nearest(weight), weight, x)


def test_inputs_that_have_nothing_to_do_with_each_other_are_rounded_to_nearest() -> None:
    """Then no column can make good what another has lost; nor where nothing was ever read."""
    weight = torch.randn(16, 64)
    for h in (torch.diag(torch.rand(64) + 1), torch.zeros(64, 64)):
        found, wanted = round_weight(weight, inverse_root(h)), to_nearest(weight)
        assert torch.equal(found.codes, wanted.codes)
        assert torch.equal(found.scales, wanted.scales)


@given(st.integers(0, 2**31))
def test_rounding_to_nearest_stays_within_half_a_step(seed: int) -> None:
    weight = torch.randn(4, 64, generator=torch.Generator().manual_seed(seed))
    found = to_nearest(weight)
    assert LOWEST <= int(found.codes.min()) <= int(found.codes.max()) <= HIGHEST
    off = (found.weight() - weight).view(4, -1, BLOCK).abs() / found.scales[..., None].abs()
    # The end of the range without a code of its own may be a whole step off.
    assert float(off.max()) <= 1 + 1e-2


def test_weights_on_the_grid_stay_what_they_are() -> None:
    codes = torch.randint(LOWEST, HIGHEST + 1, (24, 96)).float()
    codes[:, ::BLOCK] = LOWEST
    weight = codes * 2.0**-7
    x = correlated(300, 96)
    found = round_weight(weight, inverse_root(x.T @ x))
    assert torch.equal(found.codes.float(), codes)
    assert torch.equal(found.weight(), weight)


def test_a_weight_of_zeros() -> None:
    x = correlated(100, 64)
    found = round_weight(torch.zeros(8, 64), inverse_root(x.T @ x))
    assert torch.equal(found.weight(), torch.zeros(8, 64))


def test_inverse_root() -> None:
    x = correlated(500, 64)
    h = x.T @ x
    root = inverse_root(h)
    damped = h + 0.01 * h.diagonal().mean() * torch.eye(64)
    assert torch.equal(root, root.triu())
    np.testing.assert_allclose(root.T @ root @ damped, torch.eye(64), atol=1e-3)


@pytest.mark.slow
def test_a_language_model_is_rounded_alike_twice_and_stays_what_it_was(pair: Pair) -> None:
    language = pair.target.model.language_model
    before = {name: tensor.clone() for name, tensor in language.state_dict().items()}
    asked = prompts(pair, [scene_clip(900_000_000), scene_clip(900_000_001)])
    assert len(asked) == 4  # an exchange and a caption each
    found, again = (round_language_model(language, asked) for _ in range(2))
    linear = {path for path, module in language.named_modules() if isinstance(module, nn.Linear)}
    assert set(found) == linear
    for path, each in found.items():
        assert torch.equal(each.codes, again[path].codes)
        assert torch.equal(each.scales, again[path].scales)
    assert all(torch.equal(t, before[name]) for name, t in language.state_dict().items())
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in language.modules())


@pytest.mark.slow
def test_padding_is_not_read(pair: Pair) -> None:
    """A prompt beside a longer one gives the first layers what it gives alone, twice over."""
    language = pair.target.model.language_model
    short, long = sorted(prompts(pair, [scene_clip(900_000_000)]), key=len)
    assert len(short) < len(long)
    found = round_language_model(language, [short, long])["layers.0.self_attn.q_proj"]
    rows = torch.cat([short, long])
    with torch.no_grad():
        read = language.layers[0].input_layernorm(rows)
    weight = language.layers[0].self_attn.q_proj.weight.detach()
    expected = round_weight(weight, inverse_root(read.T @ read))
    assert (found.codes != expected.codes).float().mean() < 1e-3  # sums in another order


@pytest.mark.slow
def test_the_graph_has_the_builders_nodes_and_our_numbers(
    pair: Pair, loaded: tuple[Pair, str], target: TargetGraph, tmp_path: Path
) -> None:
    plain = export_target(pair.target, loaded[1], tmp_path, context=512).graph
    nearest, ours = (onnx.load(str(path)).graph for path in (plain, target.graph))
    assert list(nearest.node) == list(ours.node)
    numbers = [{c.name: numpy_helper.to_array(c) for c in g.initializer} for g in (nearest, ours)]
    assert {n: (a.shape, a.dtype) for n, a in numbers[0].items()} == {
        n: (a.shape, a.dtype) for n, a in numbers[1].items()
    }
    differ = {n for n, a in numbers[0].items() if not np.array_equal(a, numbers[1][n])}
    rounded = {
        name
        for node in ours.node
        if node.op_type == "MatMulNBits" and "lm_head" not in node.name
        for name in node.input[1:]
    }
    assert differ <= rounded
    assert {name for name in rounded if not name.endswith("scales")} <= differ


def test_a_layer_without_a_node_is_an_error() -> None:
    graph = onnx.helper.make_graph([], "g", [], [])
    layer = Rounded(torch.zeros(4, 32, dtype=torch.int8), torch.ones(4, 1))
    with pytest.raises(BundleError, match=r"no INT4 node of layers.0.mlp.up_proj; update"):
        put_rounded(onnx.helper.make_model(graph), {"layers.0.mlp.up_proj": layer})


@pytest.mark.parametrize("name", ["/model/layers.0/mlp/up_proj/MatMul_Q4", "/elsewhere/MatMul_Q4"])
def test_a_node_that_nobody_rounded_is_an_error(name: str) -> None:
    node = onnx.helper.make_node("MatMulNBits", ["x", "w", "s"], ["y"], name)
    graph = onnx.helper.make_graph([node], "g", [], [])
    layer = Rounded(torch.zeros(4, 32, dtype=torch.int8), torch.ones(4, 1))
    with pytest.raises(BundleError, match=f"{name} is not known; update"):
        put_rounded(onnx.helper.make_model(graph), {"layers.0.mlp.down_proj": layer})
