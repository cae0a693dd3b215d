"""A tiny Llama through GGUF and a snapshot; transformers is the judge of the GGUF reader."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from xsd_edge.errors import AssetError
from xsd_edge.models.base_model import load_base

pytestmark = pytest.mark.host

TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "1", "2", "Ġ", "a", "b", "ab", "Ġa", "12"]
MERGES = ["a b", "Ġ a", "1 2"]
D, KV, HEADS, INNER, LAYERS = 64, 2, 4, 96, 2


def write_gguf(path: Path, architecture: str = "llama") -> None:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(D)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV)
    writer.add_rope_freq_base(100000.0)
    writer.add_rope_dimension_count(D // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * 8)
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    rng = np.random.default_rng(0)

    def add(name: str, shape: tuple[int, ...], kind: str = "Q4_1") -> None:
        kind = "F32" if len(shape) == 1 else kind
        quantized = gguf.GGMLQuantizationType[kind]
        weight = rng.normal(0, 0.1, shape).astype(np.float32)
        writer.add_tensor(name, gguf.quantize(weight, quantized), raw_dtype=quantized)

    add("token_embd.weight", (len(TOKENS), D), "Q8_0")
    add("output_norm.weight", (D,))
    for block in range(LAYERS):
        for name, shape in {
            "attn_norm": (D,),
            "attn_q": (D, D),
            "attn_k": (D * KV // HEADS, D),
            "attn_v": (D * KV // HEADS, D),
            "attn_output": (D, D),
            "ffn_norm": (D,),
            "ffn_gate": (INNER, D),
            "ffn_up": (INNER, D),
            "ffn_down": (D, INNER),
        }.items():
            add(f"blk.{block}.{name}.weight", shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_gguf_reads_as_transformers_reads_it(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    base = load_base(tmp_path / "tiny.gguf")
    judge = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="tiny.gguf", dtype=torch.float32
    )
    ours = LlamaForCausalLM(base.config)
    missing = ours.load_state_dict(base.tensors, strict=False)
    assert missing.unexpected_keys == []
    assert missing.missing_keys == ["lm_head.weight"]
    assert base.config.tie_word_embeddings
    assert base.config.eos_token_id == 2
    expected = {k: v for k, v in judge.state_dict().items() if k != "lm_head.weight"}
    assert expected.keys() == base.tensors.keys()
    for name, weight in expected.items():
        assert torch.equal(weight, base.tensors[name]), name
    ours.tie_weights()
    tokens = torch.tensor([[1, 6, 7, 5, 8]])
    with torch.no_grad():
        assert torch.equal(ours(tokens).logits, judge(tokens).logits)


def test_tokenizer_splits_digits_and_knows_special_tokens(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    words = Tokenizer.from_str(load_base(tmp_path / "tiny.gguf").tokenizer_json)
    assert words.encode("ab a<|im_end|>").tokens == ["ab", "Ġa", "<|im_end|>"]
    assert words.encode("12").tokens == ["1", "2"]  # never the merged "12"
    assert words.decode(words.encode("ab ab<|im_end|>").ids) == "ab ab"


def test_snapshot_folder(tmp_path: Path) -> None:
    config = LlamaConfig(
        vocab_size=11, hidden_size=16, intermediate_size=24, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.bfloat16().save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": {}}', encoding="utf-8")
    base = load_base(tmp_path)
    assert base.config.num_key_value_heads == 1
    assert base.tokenizer_json == '{"model": {}}'
    assert "lm_head.weight" not in base.tensors
    for name, weight in base.tensors.items():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, model.state_dict()[name].float())


def test_other_models_are_refused(tmp_path: Path) -> None:
    write_gguf(tmp_path / "other.gguf", architecture="gpt2")
    with pytest.raises(AssetError, match="not a Llama model"):
        load_base(tmp_path / "other.gguf")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}), encoding="utf-8")
    with pytest.raises(AssetError, match="delete it"):
        load_base(tmp_path)  # no tokenizer.json
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(AssetError, match="not a Llama model"):
        load_base(tmp_path)
