"""GPTQ (Frantar et al. 2022, arXiv 2210.17323): INT4 weights that change what a layer puts out
least, on what it reads while calibration prompts are answered.

A weight's columns are rounded one after the other, and what each of them loses is made good by
those that follow, as far as the inputs' correlations H = XᵀX let them. Blocks, range and scales are
those of ONNX Runtime's symmetric MatMulNBits, so that only the numbers in a graph differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

BLOCK = 32  # inputs that share a scale
LOWEST, HIGHEST = -8, 7
DAMPING = 0.01  # of H's mean diagonal, added to it: the paper's


class Rounded(NamedTuple):
    """A weight [N, K] as codes * scales."""

    codes: Tensor  # [N, K] int8, LOWEST to HIGHEST
    scales: Tensor  # [N, K / BLOCK] float32 that float16 holds exactly: both backends read the same

    def weight(self) -> Tensor:
        n, k = self.codes.shape
        return (self.codes.view(n, -1, BLOCK) * self.scales[..., None]).view(n, k)


@torch.no_grad()
def round_language_model(model: nn.Module, prompts: Sequence[Tensor]) -> dict[str, Rounded]:
    """Every linear layer of a language model rounded, by module path; `model` stays as it was.

    `prompts` are embeddings [rows, D] of whole prompts with their answers. They go through the
    model once, all together: a layer is rounded when its inputs arrive, so that it makes good what
    the layers before it have lost, and put back when it has answered. Beside the model there are
    one layer's H, one layer's activations and the codes, a byte a weight, in memory.
    """
    inputs = pad_sequence(list(prompts), batch_first=True)  # [prompts, longest, D]
    real = torch.zeros(inputs.shape[:2], dtype=torch.bool)
    for row, prompt in zip(real, prompts, strict=True):
        row[: len(prompt)] = True  # padding lies behind, where no real row attends to it
    layers = {path: m for path, m in model.named_modules() if isinstance(m, nn.Linear)}
    found: dict[str, Rounded] = {}
    root_of = _last_root(real)
    with ExitStack() as hooks:
        for path, layer in layers.items():
            hooks.enter_context(_rounding(layer, path, root_of, found))
        model(inputs_embeds=inputs, use_cache=False)
    return found


def round_weight(weight: Tensor, root: Tensor) -> Rounded:
    """`weight` [N, K] in INT4; `root` [K, K] is `inverse_root` of its inputs' H."""
    left = weight.T.contiguous()  # [K, N] a column of the weight is a row here
    codes, scales = torch.empty_like(left), left.new_empty(len(left) // BLOCK, left.shape[1])
    for block, start in enumerate(range(0, len(left), BLOCK)):
        here, behind = slice(start, start + BLOCK), slice(start + BLOCK, None)
        rows, own = left[here], root[here, here]
        scale = scales[block] = block_scales(rows)
        lost = torch.empty_like(rows)
        for i, row in enumerate(rows):
            code = codes[start + i] = (row / scale).round_().clamp_(LOWEST, HIGHEST)
            lost[i] = (row - code * scale) / own[i, i]
            rows[i + 1 :].addr_(own[i, i + 1 :], lost[i], alpha=-1)
        left[behind].addmm_(root[here, behind].T, lost, alpha=-1)
    return Rounded(codes.T.to(torch.int8).contiguous(), scales.T.contiguous())


def block_scales(rows: Tensor) -> Tensor:
    """The scale that takes the number farthest from 0 to LOWEST: its sign may be either. [K, N]"""
    low, high = rows.amin(0), rows.amax(0)
    scale = (torch.where(high > -low, high, low) / LOWEST).half().float()
    return torch.where(scale == 0, 1.0, scale)


def inverse_root(h: Tensor) -> Tensor:
    """The upper triangle U with UᵀU = H⁻¹, from one Cholesky factor of H turned about. [K, K]"""
    turned = h.flip(0, 1)
    least = torch.finfo(h.dtype).eps  # where nothing was ever read
    turned.diagonal().add_((DAMPING * h.diagonal().mean()).clamp_min(least))
    lower = torch.linalg.cholesky(turned)
    root: Tensor = torch.linalg.solve_triangular(lower, torch.eye(len(h)), upper=False)
    return root.flip(0, 1)


def _last_root(real: Tensor) -> Callable[[Tensor], Tensor]:
    """`inverse_root` of what a layer reads; kept for the layers beside it, which read the same."""
    kept: list[Tensor] = []

    def root_of(x: Tensor) -> Tensor:  # [prompts, longest, K]
        if not kept or kept[0] is not x:
            rows = x[real]
            kept[:] = [x, inverse_root(rows.T @ rows)]
        return kept[1]

    return root_of


@contextmanager
def _rounding(
    layer: nn.Linear, path: str, root_of: Callable[[Tensor], Tensor], found: dict[str, Rounded]
) -> Iterator[None]:
    """Let `layer` answer with rounded weights, which are put into `found`."""
    exact = layer.weight.data

    def before(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        found[path] = round_weight(exact, root_of(inputs[0]))
        layer.weight.data = found[path].weight()

    def after(*_: Any) -> None:
        layer.weight.data = exact

    handles = [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]
    try:
        yield
    finally:
        after()
        for handle in handles:
            handle.remove()
