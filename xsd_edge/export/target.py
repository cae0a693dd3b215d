"""The target's language model as a graph with a KV cache in place and logits only where asked for.

Made by onnxruntime-genai's model builder, then changed by `ask_for_rows`:

    in  inputs_embeds          [1, m, D] float32
    in  attention_mask         [1, T] int64, all ones, T = past + m; positions come from it
    in  rows                   [k] int64, which of the m rows get logits (any k, any order)
    in  past_key_values.I.key  [1, KV, S, dh] float32, and .value
    out logits                 [1, k, V] float32
    out hidden_states          [1, m, D] float32, after the final norm: what the last product reads
    out present.I.key          [1, KV, S, dh] float32, and .value

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

import contextlib
import copy
import ctypes
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from safetensors.torch import save_file
from transformers import LlamaConfig, VideoLlavaForConditionalGeneration

from xsd_edge.errors import BundleError
from xsd_edge.export.onnx_graph import strip

# Blocks of 32, int8 activations (accuracy level 4): the fastest MatMulNBits kernels on CPUs.
# The vocabulary product in int8 costs 4 % of a five-row pass and takes a third of the divergence
# from float32 away; `algo_config=rtn` scales to -7..7 and diverges more than the default's -8..7.
QUANTIZATION = {
    "int4": ("block_size=32", "accuracy_level=4", "matmul_mixed_precision=last_matmul:int8"),
    "fp32": (),
}


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
) -> TargetGraph:
    """Write the language model of `model` as `folder`/PRECISION.onnx and .onnx.data.

    `context` is the longest sequence that gets positions; `precision` is a key of `QUANTIZATION`.

    Raises:
        BundleError: the model builder failed; the message ends with its last words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    graph = folder / f"{precision}.onnx"
    with tempfile.TemporaryDirectory(prefix=".target.", dir=folder) as scratch:
        checkpoint, built = Path(scratch, "checkpoint"), Path(scratch, "built")
        save_language_model(model, tokenizer_json, checkpoint, context)
        _run_builder(checkpoint, built, precision, graph.name)
        data = (built / f"{graph.name}.data").replace(folder / f"{graph.name}.data")
        data.chmod(0o644)
        network = onnx.load(str(built / graph.name), load_external_data=False)
    ask_for_rows(network)
    config = language_config(model)
    head_width = config.head_dim or config.hidden_size // config.num_attention_heads
    name_dimensions(network, head_width)
    strip(network)
    # The builder appends the commit of whatever repository it is installed under.
    network.producer_version = network.producer_version.partition("+")[0]
    onnx.save(network, str(graph))
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


def language_config(model: VideoLlavaForConditionalGeneration) -> LlamaConfig:
    config = model.config.text_config
    assert isinstance(config, LlamaConfig)
    return config


def _run_builder(checkpoint: Path, built: Path, precision: str, filename: str) -> None:
    """Run the model builder as a process: it prints, sets up logging and keeps its copies."""
    options = (
        "exclude_embeds=true",
        "include_hidden_states=true",
        "shared_embeddings=false",
        "hf_token=false",
        f"filename={filename}",
        *QUANTIZATION[precision],
    )
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
    command += ["-m", "target", "-i", str(checkpoint), "-o", str(built), "-p", precision]
    command += ["-e", "cpu", "-c", str(built.with_name("cache")), "--extra_options", *options]
    _return_freed_memory()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not (built / filename).is_file():
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise BundleError(f"onnxruntime-genai's model builder failed: {last}")


def _return_freed_memory() -> None:
    """glibc keeps what loading has freed, 400 MB for the demo, which the builder could use."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def ask_for_rows(network: onnx.ModelProto) -> None:
    """Gather the rows in a new input `rows` right before the last product, in place.

    Most of a pass over few rows is the vocabulary product; a prefill needs it for one row of many.
    """
    graph = network.graph
    (last,) = (node for node in graph.node if "logits" in node.output)
    gather = helper.make_node(
        "Gather", [last.input[0], "rows"], ["asked_states"], name="/lm_head/rows", axis=1
    )
    last.input[0] = "asked_states"
    graph.node.insert(list(graph.node).index(last), gather)
    graph.input.append(helper.make_tensor_value_info("rows", TensorProto.INT64, ["k"]))


def name_dimensions(network: onnx.ModelProto, head_width: int) -> None:
    """Batch 1 and the dimension names of the module's table, in place."""
    names: dict[str, tuple[int | str | None, ...]] = {
        "inputs_embeds": (1, "m", None),
        "attention_mask": (1, "T"),
        "rows": ("k",),
        "logits": (1, "k", None),
        "hidden_states": (1, "m", None),
    }
    for value in (*network.graph.input, *network.graph.output):
        wanted = names.get(value.name, (1, None, "S", head_width))
        for dimension, name in zip(value.type.tensor_type.shape.dim, wanted, strict=True):
            if isinstance(name, int):
                dimension.dim_value = name
            elif name is not None:
                dimension.dim_param = name
