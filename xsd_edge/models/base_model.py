"""Reads the base language model into plain float32 tensors, from a GGUF file or a hub snapshot."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader, TokenType, dequantize
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig

from xsd_edge.errors import AssetError

# GGUF's names inside a block -> transformers'.
BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTER_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A language model as its parts; tensor names are those of transformers' LlamaForCausalLM."""

    config: LlamaConfig
    tensors: dict[str, Tensor]  # float32; no lm_head.weight where it is the embedding
    tokenizer_json: str


def load_base(path: Path) -> BaseModel:
    """Read what `assets.fetch_base` returned.

    Raises:
        AssetError: the file or folder does not hold a Llama model.
    """
    if path.is_dir():
        return _load_snapshot(path)
    reader = _Reader(path)
    if _field(reader, "general.architecture") != "llama":
        raise AssetError(f"{path} is not a Llama model; check the recipe's [base]")
    config = _config(reader)
    tensors = {}
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        name = _name(tensor.name)
        if name.endswith("q_proj.weight"):
            weight = _unpermuted(weight, config.num_attention_heads)
        elif name.endswith("k_proj.weight"):
            weight = _unpermuted(weight, config.num_key_value_heads or config.num_attention_heads)
        tensors[name] = torch.from_numpy(weight)
    return BaseModel(config, tensors, _tokenizer(reader).to_str())


class _Reader(GGUFReader):
    """Reads from a plain view of the mapped file: it slices it half a million times, and a slice of
    numpy's memmap class costs ten times as much.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, np.asarray(value) if name == "data" else value)


def _load_snapshot(folder: Path) -> BaseModel:
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tokenizer_json = (folder / "tokenizer.json").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise AssetError(f"{folder} is not a model snapshot: {error}; delete it") from error
    if settings.get("model_type") != "llama":
        raise AssetError(f"{folder} is not a Llama model; check the recipe's [base]")
    tensors = {
        name: tensor.float()
        for file in sorted(folder.glob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }
    return BaseModel(LlamaConfig.from_dict(settings), tensors, tokenizer_json)


def _field(reader: GGUFReader, name: str) -> Any:
    field = reader.get_field(name)
    return None if field is None else field.contents()


def _config(reader: GGUFReader) -> LlamaConfig:
    def llama(name: str) -> Any:
        return _field(reader, f"llama.{name}")

    return LlamaConfig(
        vocab_size=len(_field(reader, "tokenizer.ggml.tokens")),
        hidden_size=llama("embedding_length"),
        intermediate_size=llama("feed_forward_length"),
        num_hidden_layers=llama("block_count"),
        num_attention_heads=llama("attention.head_count"),
        num_key_value_heads=llama("attention.head_count_kv"),
        max_position_embeddings=llama("context_length"),
        rms_norm_eps=llama("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_theta": llama("rope.freq_base"), "rope_type": "default"},
        tie_word_embeddings=all(t.name != "output.weight" for t in reader.tensors),
        bos_token_id=_field(reader, "tokenizer.ggml.bos_token_id"),
        eos_token_id=_field(reader, "tokenizer.ggml.eos_token_id"),
        pad_token_id=_field(reader, "tokenizer.ggml.padding_token_id"),
    )


def _name(gguf: str) -> str:
    if gguf in OUTER_NAMES:
        return OUTER_NAMES[gguf]
    _, block, kind, suffix = gguf.split(".")
    return f"model.layers.{block}.{BLOCK_NAMES[kind]}.{suffix}"


def _unpermuted(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows back from llama.cpp's RoPE order (pairs interleaved) to transformers' (two halves)."""
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows, columns))


def _tokenizer(reader: GGUFReader) -> Tokenizer:
    """GPT-2 style byte-level BPE; "smollm" splits digits first, as its own tokenizer.json does."""
    tokens: list[str] = _field(reader, "tokenizer.ggml.tokens")
    merges = [tuple(pair.split(" ")) for pair in _field(reader, "tokenizer.ggml.merges")]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    splits: list[Any] = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
    if _field(reader, "tokenizer.ggml.pre") == "smollm":
        splits.insert(0, pre_tokenizers.Digits(individual_digits=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splits)
    tokenizer.decoder = decoders.ByteLevel()
    kinds = _field(reader, "tokenizer.ggml.token_type")
    special = [t for t, kind in zip(tokens, kinds, strict=True) if kind == TokenType.CONTROL]
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in special])
    return tokenizer
