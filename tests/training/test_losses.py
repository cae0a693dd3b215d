"""Losses against their formulas, by hand and by finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from xsd_edge.training.losses import (
    CONTRAST_TEMPERATURE,
    DISTILLATION,
    Mean,
    acceptance,
    contrastive,
    hard_cross_entropy,
    kl_divergence,
    relative_squared_error,
    soft_cross_entropy,
    total_variation,
)

pytestmark = pytest.mark.host


def some(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def distributions(rows: int = 5, size: int = 7) -> tuple[Tensor, Tensor]:
    """p [rows, size] and log q, q being another."""
    drawn = some(2, rows, size)
    return drawn[0].softmax(-1), drawn[1].log_softmax(-1)


def test_total_variation_is_the_chance_of_rejection() -> None:
    p, log_q = distributions()
    found = total_variation(p, log_q)
    by_hand = [
        1 - sum(min(float(a), float(b)) for a, b in zip(row, other, strict=True))
        for row, other in zip(p, log_q.exp(), strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(by_hand, dtype=torch.float64))
    half_l1 = (p - log_q.exp()).abs().sum(-1) / 2
    torch.testing.assert_close(found, half_l1)
    torch.testing.assert_close(total_variation(p, p.log()), torch.zeros(5, dtype=torch.float64))


def test_kl_is_cross_entropy_less_entropy() -> None:
    p, log_q = distributions()
    entropy = -(p * p.log()).sum(-1)
    torch.testing.assert_close(kl_divergence(p, log_q), soft_cross_entropy(p, log_q) - entropy)
    coins = torch.tensor([[0.5, 0.5, 0.0]]), torch.tensor([[0.25, 0.5, 0.25]]).log()
    assert kl_divergence(*coins).item() == pytest.approx(0.5 * math.log(2))


def test_hard_cross_entropy_looks_at_the_likeliest_only() -> None:
    p, log_q = torch.tensor([[0.4, 0.6]]), torch.tensor([[0.9, 0.1]]).log()
    assert hard_cross_entropy(p, log_q).item() == pytest.approx(-math.log(0.1))


@pytest.mark.parametrize("name", DISTILLATION)
def test_gradients_of_distillation(name: str) -> None:
    p, log_q = distributions()
    logits = log_q.requires_grad_()  # where p = q, min(p, q) has a kink
    loss = DISTILLATION[name]
    assert torch.autograd.gradcheck(lambda x: loss(p, x.log_softmax(-1)), logits)


@pytest.mark.parametrize("name", DISTILLATION)
def test_descending_makes_drafts_acceptable(name: str) -> None:
    p, _ = distributions(1)
    logits = torch.zeros_like(p).requires_grad_()
    for _ in range(400):
        (grad,) = torch.autograd.grad(DISTILLATION[name](p, logits.log_softmax(-1)).sum(), logits)
        logits = (logits - 0.3 * grad).detach().requires_grad_()
    q = logits.softmax(-1)
    if name == "ce":
        assert q.argmax() == p.argmax()
    else:
        assert torch.minimum(p, q).sum() > 0.98


def test_relative_squared_error_by_hand() -> None:
    found, wanted = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    error = relative_squared_error(found, wanted, torch.tensor([2.0, 9.0]))
    assert error.tolist() == pytest.approx([2 * (9 + 4) / 4, 0])


def test_contrast_by_hand_and_at_its_ends() -> None:
    x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0, 0.0], [0.0, 0.5]])
    gap = 1 / CONTRAST_TEMPERATURE
    assert contrastive(x, y).tolist() == pytest.approx([math.log1p(math.exp(-gap))] * 2, abs=1e-6)
    swapped = contrastive(x, y.flip(0))
    assert swapped.tolist() == pytest.approx([gap + math.log1p(math.exp(-gap))] * 2, rel=1e-5)
    alike = contrastive(torch.ones(8, 3), torch.ones(8, 3))
    assert alike.tolist() == pytest.approx([math.log(8)] * 8, rel=1e-5)
    assert torch.autograd.gradcheck(contrastive, (some(4, 3).requires_grad_(), some(4, 3) + 1))


def test_acceptance_counts_only_positions_that_a_round_reaches() -> None:
    """gamma 3; the verifier accepts 1, 3 and 0 drafts; the second answer ends after 2."""
    logits = torch.arange(9.0).reshape(3, 3)
    rows = acceptance(logits, torch.tensor([1, 3, 0]), torch.tensor([9, 2, 9]))
    signs = [(0.0, 1), (1.0, 0), (3.0, 1), (4.0, 1), (6.0, 0)]
    by_hand = [math.log1p(math.exp(-x if accepted else x)) for x, accepted in signs]
    assert rows.tolist() == pytest.approx(by_hand, rel=1e-5)


def test_a_mean_weighs() -> None:
    rows = torch.tensor([1.0, 3.0])
    assert Mean(rows).value.item() == 2
    assert Mean(rows, 0.5).value.item() == 1
