"""What is changed in the model builder's graph: which rows get logits, dimensions, rotations, and
INT4 weights that were rounded with care.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from transformers import LlamaConfig

from xsd_edge.errors import BundleError
from xsd_edge.export.gptq import BLOCK, LOWEST, Rounded
from xsd_edge.models.trained import head_width

# "/model/layers.3/attn/qkv_proj/MatMul_Q4": which layers' weights a node of the builder has.
NODE = re.compile(r"/model/(layers\.\d+)/(attn|mlp)/(\w+)_proj/")
UPDATE = "update onnxruntime-genai, which made the graph"
PACKED = {"qkv": ("q", "k", "v")}  # three layers in one node, one behind the other


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


def float_edges(network: onnx.ModelProto) -> None:
    """Embeddings, logits and states in float32 around a float16 graph, in place; not the cache."""
    graph = network.graph
    half, single = TensorProto.FLOAT16, TensorProto.FLOAT
    for value in (*graph.input, *graph.output):
        kind = value.type.tensor_type
        if kind.elem_type != half or value.name.startswith(("past_key_values.", "present.")):
            continue
        inner, name = f"{value.name}_half", value.name
        kind.elem_type = single
        if any(value.name == each.name for each in graph.input):
            rename(graph, name, inner)
            graph.node.insert(0, helper.make_node("Cast", [name], [inner], inner, to=half))
        else:
            rename(graph, name, inner)
            graph.node.append(helper.make_node("Cast", [inner], [name], f"{name}_cast", to=single))


def rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Let every node call a tensor by another name, in place."""
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new


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


def set_rotary(network: onnx.ModelProto, config: LlamaConfig, context: int) -> None:
    """Write RoPE's tables (Su et al. 2021, arXiv 2104.09864) for `context` positions, in place.

    onnxruntime-genai 0.11, the newest for Python 3.10, does not find the base in transformers 5's
    configurations and takes 10000.

    Raises:
        BundleError: the model stretches its positions, which is not written here.
    """
    settings = config.rope_parameters or {}
    if settings.get("rope_type", "default") != "default":
        raise BundleError(f"RoPE of type {settings['rope_type']} cannot be exported yet")
    width = head_width(config)
    base = torch.tensor(float(settings["rope_theta"] or 0))
    rates = 1.0 / base ** (torch.arange(0, width, 2).float() / width)
    angles = torch.outer(torch.arange(context).float(), rates)
    tables = {"cos_cache": angles.cos(), "sin_cache": angles.sin()}
    found = [c for c in network.graph.initializer if c.name in tables]
    assert len(found) == len(tables)
    for constant in found:
        table = tables[constant.name].numpy()
        table = table.astype(helper.tensor_dtype_to_np_dtype(constant.data_type))
        constant.CopyFrom(numpy_helper.from_array(table, constant.name))


def put_rounded(network: onnx.ModelProto, rounded: Mapping[str, Rounded]) -> None:
    """Write `rounded`, by module path, over the numbers of the INT4 nodes, in place.

    Raises:
        BundleError: a node is not of these layers, or a layer is in no node.
    """
    constants = {c.name: c for c in network.graph.initializer}
    left = set(rounded)
    for node in network.graph.node:
        if node.op_type != "MatMulNBits":
            continue
        paths = _layers_of(node.name)
        if not left.issuperset(paths) or len(node.input) != 3:
            raise BundleError(f"the model builder's node {node.name} is not known; {UPDATE}")
        left.difference_update(paths)
        codes, scales = (torch.cat(each) for each in zip(*map(rounded.get, paths), strict=True))
        packed = (codes - LOWEST).to(torch.uint8)
        packed = (packed[:, ::2] | packed[:, 1::2] << 4).view(*scales.shape, BLOCK // 2)
        for name, numbers in zip(node.input[1:], (packed.numpy(), scales.numpy()), strict=True):
            was = constants[name]
            found = numbers.astype(helper.tensor_dtype_to_np_dtype(was.data_type))
            was.CopyFrom(numpy_helper.from_array(found.reshape(tuple(was.dims)), name))
    if left:
        raise BundleError(f"the model builder made no INT4 node of {sorted(left)[0]}; {UPDATE}")


def _layers_of(node: str) -> tuple[str, ...]:
    """Paths in transformers' model of the layers whose weights a node has."""
    found = NODE.match(node)
    if found is None:
        return (node,)
    layer, place, name = found.groups()
    inside = {"attn": "self_attn", "mlp": "mlp"}[place]
    return tuple(f"{layer}.{inside}.{each}_proj" for each in PACKED.get(name, (name,)))
