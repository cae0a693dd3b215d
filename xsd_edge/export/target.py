"""The target's language model as a graph with a KV cache in place and logits only where asked for.

Made by onnxruntime-genai's model builder, then changed by `target_surgery`:

    in  inputs_embeds          [1, m, D] float32
    in  attention_mask         [1, T] int64, all ones, T = past + m; positions come from it
    in  rows                   [k] int64, which of the m rows get logits (any k, any order)
    in  past_key_values.I.key  [1, KV, S, dh] float32, and .value
    out logits                 [1, k, V] float32
    out hidden_states          [1, m, D] float32, after the final norm: what the last product reads
    out present.I.key          [1, KV, S, dh] float32, and .value

For CUDA the operators and the cache are float16; all else that goes in and out is the same.

Shared buffer: bind past and present of one layer to the same buffer of S >= T rows. A pass writes
rows [past, T) and reads nothing behind T, so that forgetting tokens is passing a smaller T::

    cache = {f"{i}.{kind}": np.zeros((1, KV, S, dh), np.float32) for i ... for kind ...}
    binding = session.io_binding()
    for name, a in cache.items():
        where = ("cpu", 0, a.dtype, a.shape, a.ctypes.data)
        binding.bind_input(f"past_key_values.{name}", *where)
        binding.bind_output(f"present.{name}", *where)
    # bind inputs_embeds, attention_mask = ones([1, past + m]), rows, logits, hidden_states alike
    session.run_with_iobinding(binding)

With copied buffers past has S = past rows and present comes back with T. Both give the same bits,
whatever the rows are cut into, as long as every pass has two rows or more: for a single row
GroupQueryAttention takes another path, whose last digits int8 activations amplify.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from transformers import VideoLlavaForConditionalGeneration

from xsd_edge.errors import BundleError
from xsd_edge.export.gptq import Rounded
from xsd_edge.export.memory import return_freed
from xsd_edge.export.onnx_graph import strip
from xsd_edge.export.quantize import pack_products
from xsd_edge.export.target_surgery import (
    ask_for_rows,
    float_edges,
    name_dimensions,
    put_rounded,
    set_rotary,
)
from xsd_edge.models.trained import head_width, language_config

LAST_PRODUCT = "/lm_head/MatMul"
# INT4: blocks of 32 scaled to -8..7 with int8 activations, which are the builder's defaults on CPUs
# and have the fastest kernels. Left out is the vocabulary product, for `pack_products`: in int8 it
# costs 4 % of a five-row pass and takes a third of the divergence from float32 away.
BUILDER_OPTIONS = {
    # Under its old and its new name: onnxruntime-genai ignores the one that it does not know.
    "int4": (f"int4_nodes_to_exclude={LAST_PRODUCT}", f"nodes_to_exclude={LAST_PRODUCT}"),
    "fp32": (),
}
# Of the vocabulary product: on CPUs activations may be rounded to int8, which is faster.
ACCURACY_LEVEL = {"cpu": 4, "cuda": 0}
NOT_ROUNDED: Mapping[str, Rounded] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TargetGraph:
    """One precision of the target: the graph, and the weights that it maps into memory."""

    graph: Path
    data: Path


def export_target(
    model: VideoLlavaForConditionalGeneration,
    tokenizer_json: str,
    folder: Path,
    *,
    context: int,
    precision: str = "int4",
    backend: str = "cpu",
    rounded: Mapping[str, Rounded] = NOT_ROUNDED,
) -> TargetGraph:
    """Write the language model of `model` as `folder`/PRECISION.onnx and .onnx.data.

    `context` is the longest sequence that gets positions; `precision` is "int4" or "fp32";
    `backend` "cuda" gives float16 operators and a float16 cache. `rounded` are the language model's
    layers as `gptq` found them; without any, INT4 is round to nearest.

    Raises:
        BundleError: the model builder failed; the message ends with its last words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    graph = folder / f"{precision}.onnx"
    with tempfile.TemporaryDirectory(prefix=".target.", dir=folder) as scratch:
        checkpoint, built = Path(scratch, "checkpoint"), Path(scratch, "built")
        save_language_model(model, tokenizer_json, checkpoint, context)
        _run_builder(checkpoint, built, precision, backend, graph.name)
        network = onnx.load(str(built / graph.name))
    config = language_config(model)
    set_rotary(network, config, context)
    if precision == "int4":
        if rounded:
            put_rounded(network, rounded)
        network = pack_products(network, ACCURACY_LEVEL[backend])
    ask_for_rows(network)
    float_edges(network)
    name_dimensions(network, head_width(config))
    strip(network)
    # The builder appends the commit of whatever repository it is installed under.
    network.producer_version = network.producer_version.partition("+")[0]
    data = graph.with_name(f"{graph.name}.data")
    data.unlink(missing_ok=True)  # onnx would append to it
    onnx.save(network, str(graph), save_as_external_data=True, location=data.name)
    data.chmod(0o644)
    return TargetGraph(graph, data)


def embedding_table(model: VideoLlavaForConditionalGeneration) -> NDArray[np.float16]:
    """The input embeddings as the device has them. [V, D]"""
    table = model.model.language_model.get_input_embeddings().weight
    return table.detach().float().numpy().astype(np.float16)  # type: ignore[no-any-return]


def save_language_model(
    model: VideoLlavaForConditionalGeneration, tokenizer_json: str, folder: Path, context: int
) -> None:
    """What the model builder reads: an ordinary Llama checkpoint with its tokenizer."""
    config = copy.deepcopy(language_config(model))
    weights = {f"model.{k}": v for k, v in model.model.language_model.state_dict().items()}
    config.tie_word_embeddings = torch.equal(
        model.lm_head.weight, weights["model.embed_tokens.weight"]
    )
    if not config.tie_word_embeddings:
        weights["lm_head.weight"] = model.lm_head.weight.detach()
    config.max_position_embeddings = context
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(folder)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def _run_builder(
    checkpoint: Path, built: Path, precision: str, backend: str, filename: str
) -> None:
    """Run the model builder as a process: it prints, sets up logging and keeps its copies."""
    options = (
        "exclude_embeds=true",
        "include_hidden_states=true",
        "shared_embeddings=false",
        "hf_token=false",
        f"filename={filename}",
        *BUILDER_OPTIONS[precision],
    )
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
    command += ["-m", "target", "-i", str(checkpoint), "-o", str(built), "-p", precision]
    command += ["-e", backend, "-c", str(built.with_name("cache")), "--extra_options", *options]
    return_freed()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not (built / filename).is_file():
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise BundleError(f"onnxruntime-genai's model builder failed: {last}")
