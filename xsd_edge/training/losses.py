"""The losses of alignment, distillation and acceptance: one value a row, so that rows can be shared
out among workers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

CONTRAST_TEMPERATURE = 0.07  # Wu et al., CVPR 2018, arXiv 1805.01978; CLIP starts from it


class Mean(NamedTuple):
    """A loss that is `weight` times the mean of `rows` over the whole batch."""

    rows: Tensor  # [n], or of any shape
    weight: float = 1.0

    @property
    def value(self) -> Tensor:
        return self.rows.mean() if self.weight == 1.0 else self.weight * self.rows.mean()


def relative_squared_error(found: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """weight |found - wanted|^2 / |wanted|^2. [..., D], [..., D], [...] -> [...]"""
    error = (found - wanted).square().sum(-1) / wanted.square().sum(-1)
    return error * weight


def contrastive(found: Tensor, wanted: Tensor) -> Tensor:
    """InfoNCE both ways: row i of `found` against all of `wanted`, and the other way. -> [n]

    -(log softmax_j(s_ij)[i] + log softmax_j(s_ji)[i]) / 2 with s = cosine / 0.07 (van den Oord et
    al. 2018, arXiv 1807.03748; symmetric as in CLIP, Radford et al. 2021, arXiv 2103.00020).
    log n minus its mean bounds I(found; wanted) from below.
    """
    scores = F.normalize(found, dim=-1) @ F.normalize(wanted, dim=-1).T / CONTRAST_TEMPERATURE
    own = torch.arange(len(scores), device=scores.device)
    there = F.cross_entropy(scores, own, reduction="none")
    back = F.cross_entropy(scores.T, own, reduction="none")
    return (there + back) / 2


def soft_cross_entropy(p: Tensor, log_q: Tensor) -> Tensor:
    """-sum p log q = KL(p || q) + H(p): the gradient of KL(p || q) in q. [..., V] -> [...]

    Knowledge distillation at temperature 1 (Hinton et al. 2015, arXiv 1503.02531). What `p` lacks
    to a sum of 1 (mass outside the draft vocabulary) weighs nothing: q cannot earn it.
    """
    return -(p * log_q).sum(-1)


def kl_divergence(p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) = sum p (log p - log q), with 0 log 0 = 0. [..., V] -> [...]"""
    return torch.special.xlogy(p, p).sum(-1) + soft_cross_entropy(p, log_q)


def total_variation(p: Tensor, log_q: Tensor) -> Tensor:
    """1 - sum min(p, q): the chance that a draft x ~ q is rejected. [..., V] -> [...]

    TV(p, q) where p sums to 1 (Leviathan et al. 2023, arXiv 2211.17192, section 3.2; as a loss
    Zhou et al., DistillSpec, ICLR 2024, arXiv 2310.08461).
    """
    return 1 - torch.minimum(p, log_q.exp()).sum(-1)


def hard_cross_entropy(p: Tensor, log_q: Tensor) -> Tensor:
    """-log q of the target's likeliest token: the target's words without its doubts. [..., V] ->
    [...]
    """
    return -log_q.gather(-1, p.argmax(-1, keepdim=True))[..., 0]


# What `train draft --loss` knows. The first is the recipes': KL's gradient is strong far from the
# target where TV's vanishes, and TV is what acceptance is made of.
DISTILLATION: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "kl+tv": lambda p, log_q: soft_cross_entropy(p, log_q) + total_variation(p, log_q),
    "kl": kl_divergence,
    "tv": total_variation,
    "ce": hard_cross_entropy,
}


def acceptance(logits: Tensor, runs: Tensor, left: Tensor) -> Tensor:
    """Binary cross-entropy of "draft i is accepted" at the positions that a round reaches. -> [n]

    `logits` [R, gamma], `runs` [R] how many drafts the verifier accepts from each row on, `left`
    [R] rows of the answer from there on. Position i is reached where i drafts before it stood and
    the answer goes on so far: what happens behind the first rejection is nobody's experience.
    """
    depths = torch.arange(logits.shape[1], device=logits.device)
    accepted = (runs[:, None] > depths).float()
    reached = (runs[:, None] >= depths) & (depths < left[:, None])
    return F.binary_cross_entropy_with_logits(logits[reached], accepted[reached], reduction="none")
