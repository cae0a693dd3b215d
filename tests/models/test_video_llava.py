"""Video-LLaVA checkpoints: both key layouts, shared towers, masked padding, errors with names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    VideoLlavaConfig,
    VideoLlavaForConditionalGeneration,
)

from xsd_edge.errors import AssetError
from xsd_edge.models.video_llava import (
    load_video_llava,
    masked_tokens,
    sampled_frames,
    share_towers,
)

pytestmark = pytest.mark.host

CONFIG = VideoLlavaConfig(
    vision_config=CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
    ),
    text_config=LlamaConfig(
        vocab_size=72,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
    ),
    image_token_index=64,
    video_token_index=65,
)
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def model() -> VideoLlavaForConditionalGeneration:
    torch.manual_seed(0)
    made = VideoLlavaForConditionalGeneration(CONFIG).eval()
    made.model.image_tower.load_state_dict(made.model.video_tower.state_dict())
    with torch.no_grad():  # as in the published checkpoint: a few tensors differ
        made.model.image_tower.embeddings.class_embedding.add_(1)
    return made


def hub_name(name: str) -> str:
    """As LanguageBind/Video-LLaVA-7B-hf calls a parameter of transformers 5."""
    if name == "lm_head.weight":
        return "language_model.lm_head.weight"
    name = name.removeprefix("model.")
    for part, inner in (
        ("language_model.", "language_model.model."),
        ("video_tower.", "video_tower.vision_model."),
        ("image_tower.", "image_tower.vision_model."),
    ):
        if name.startswith(part):
            return inner + name.removeprefix(part)
    return name


def write(folder: Path, tensors: Tensors) -> Path:
    CONFIG.save_pretrained(folder)
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.mark.parametrize("layout", ["hub", "transformers"])
def test_both_key_layouts(
    model: VideoLlavaForConditionalGeneration, tmp_path: Path, layout: str
) -> None:
    tensors = model.state_dict()
    named = {hub_name(k): v for k, v in tensors.items()} if layout == "hub" else tensors
    loaded = load_video_llava(write(tmp_path, named)).model.state_dict()
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(loaded[name], tensor), name


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.pop("model.language_model.norm.weight"), "lacks .*language_model.norm.weight"),
        (lambda t: t.update(surprise=torch.zeros(1)), "has unknown surprise"),
    ],
)
def test_wrong_keys_are_named(
    model: VideoLlavaForConditionalGeneration, tmp_path: Path, change: object, complaint: str
) -> None:
    tensors = dict(model.state_dict())
    change(tensors)  # type: ignore[operator]  # one of the functions above
    with pytest.raises(AssetError, match=complaint):
        load_video_llava(write(tmp_path, tensors))


def test_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(AssetError, match="not a Video-LLaVA checkpoint"):
        load_video_llava(tmp_path)


def test_towers_share_what_is_equal(
    model: VideoLlavaForConditionalGeneration, tmp_path: Path
) -> None:
    loaded = load_video_llava(write(tmp_path, model.state_dict())).model.model
    mine = dict(loaded.video_tower.named_parameters())
    for name, parameter in loaded.image_tower.named_parameters():
        shared = parameter.data_ptr() == mine[name].data_ptr()
        assert shared == (name != "embeddings.class_embedding")


def test_sharing_counts_bytes_and_names_what_differs() -> None:
    original, copy = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)
    copy.load_state_dict(original.state_dict())
    with torch.no_grad():
        original.bias.fill_(0.0)
        copy.bias.fill_(-0.0)  # equal to torch.equal, not to a byte comparison
    shared = share_towers(copy, original)
    assert shared.bytes_saved == 4 * 3 * 4
    assert shared.differing == ("bias",)
    assert share_towers(copy, original).bytes_saved == 0  # already shared


def test_frames_are_the_documented_ones() -> None:
    for total in (*range(8, 70), 100, 247, 9001):
        documented = np.arange(0, total, total / 8).astype(int)
        assert np.array_equal(sampled_frames(total), documented)
    assert len(sampled_frames(3)) == 8
    assert sampled_frames(3).max() == 2


def test_padding_is_masked() -> None:
    assert masked_tokens(CONFIG, words=64) == tuple(range(64, 72))
    assert masked_tokens(CONFIG, words=70) == (64, 65, 70, 71)
