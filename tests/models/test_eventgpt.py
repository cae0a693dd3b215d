"""EventGPT's encoder: folding is exact, keys are those of its checkpoint, errors name them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import CLIPVisionConfig

from xsd_edge.errors import AssetError
from xsd_edge.models.eventgpt import (
    SLICES,
    TOWER,
    VIT_L_336,
    EventGptEncoder,
    FoldedEncoder,
    load_encoder,
    pooled,
)

pytestmark = pytest.mark.host

SMALL = CLIPVisionConfig(
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    image_size=56,
    patch_size=14,
)
WIDTH = 48
HERE = Path("eventgpt-7b")


@pytest.fixture(scope="module")
def encoder() -> EventGptEncoder:
    torch.manual_seed(0)
    made = EventGptEncoder(SMALL, WIDTH).eval()
    with torch.no_grad():
        for path in ("projector.0", "projector.2", "adaptor"):
            made.get_parameter(f"{path}.weight").mul_(3)
    return made


def checkpoint(encoder: EventGptEncoder) -> dict[str, torch.Tensor]:
    """The encoder's tensors under EventGPT's names, with those of the language model."""
    names = {
        "projector.": "model.visual_projector.",
        "adaptor.": "model.feature_adaptor.",
        "layers.": f"{TOWER}encoder.layers.",
        "embeddings.": f"{TOWER}embeddings.",
        "norm.": f"{TOWER}pre_layrnorm.",
    }
    tensors = {}
    for name, tensor in encoder.state_dict().items():
        ours = next(prefix for prefix in names if name.startswith(prefix))
        tensors[names[ours] + name.removeprefix(ours)] = tensor
    tensors[f"{TOWER}post_layernorm.weight"] = torch.ones(SMALL.hidden_size)
    tensors["model.layers.0.mlp.up_proj.weight"] = torch.zeros(2, 2)
    tensors["lm_head.weight"] = torch.zeros(2, 2)
    return tensors


def test_folding_is_exact(encoder: EventGptEncoder) -> None:
    pixels = torch.randn(SLICES, 3, 56, 56)
    with torch.no_grad():
        wanted, found = encoder(pixels), FoldedEncoder(encoder)(pixels)
    assert wanted.shape == found.shape == (1, SLICES + 17, WIDTH)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_folding_leaves_one_product_behind_the_gelu(encoder: EventGptEncoder) -> None:
    folded = FoldedEncoder(encoder)
    linears = [n for n, m in folded.named_modules() if isinstance(m, torch.nn.Linear)]
    assert [name for name in linears if not name.startswith("layers.")] == ["first", "folded"]


def test_rows_are_slices_first_then_tokens() -> None:
    tokens = torch.arange(5 * 577 * 2, dtype=torch.float32).reshape(5, 577, 2)
    made = pooled(tokens)
    assert made.shape == (1, 582, 2)
    torch.testing.assert_close(made[0, 3], tokens[3].mean(0))
    torch.testing.assert_close(made[0, 5 + 100], tokens[:, 100].mean(0))


def test_published_shape_gives_582_tokens() -> None:
    with torch.device("meta"):
        made = EventGptEncoder(VIT_L_336, 8)
    assert SLICES + made.get_parameter("embeddings.position_embedding.weight").shape[0] == 582
    assert (VIT_L_336.hidden_size, VIT_L_336.num_hidden_layers) == (1024, 24)


def test_a_checkpoints_tensors_arrive(encoder: EventGptEncoder) -> None:
    loaded = load_encoder(checkpoint(encoder), HERE, SMALL, WIDTH)
    pixels = torch.randn(SLICES, 3, 56, 56)
    with torch.no_grad():
        assert torch.equal(loaded(pixels), encoder(pixels))


@pytest.mark.parametrize(
    "key",
    [
        "model.feature_adaptor.bias",
        f"{TOWER}encoder.layers.1.mlp.fc1.weight",
        f"{TOWER}pre_layrnorm.weight",
        f"{TOWER}embeddings.class_embedding",
    ],
)
def test_a_missing_key_is_named_as_the_checkpoint_names_it(
    encoder: EventGptEncoder, key: str
) -> None:
    tensors = checkpoint(encoder)
    del tensors[key]
    with pytest.raises(AssetError, match=f"eventgpt-7b lacks {key};"):
        load_encoder(tensors, HERE, SMALL, WIDTH)


@pytest.mark.parametrize("key", ["model.event_qformer.weight", f"{TOWER}encoder.layers.7.x.weight"])
def test_an_unknown_key_is_named(encoder: EventGptEncoder, key: str) -> None:
    tensors = {**checkpoint(encoder), key: torch.zeros(1)}
    with pytest.raises(AssetError, match=f"has unknown {key};"):
        load_encoder(tensors, HERE, SMALL, WIDTH)


def test_many_missing_keys_are_counted(encoder: EventGptEncoder) -> None:
    kept = {k: v for k, v in checkpoint(encoder).items() if "fc" not in k}
    with pytest.raises(AssetError, match=r"lacks .* and 3 more;"):
        load_encoder(kept, HERE, SMALL, WIDTH)
