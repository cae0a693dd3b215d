"""The small networks' graphs: what TensorRT demands of them, and whether they answer alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from xsd_edge.bundle import Bundle
from xsd_edge.calibration.batches import Feeds, Pair, batches
from xsd_edge.calibration.clips import scene_clip
from xsd_edge.export.cached import cached_feeds, with_cache
from xsd_edge.export.networks import Network, Vision
from xsd_edge.export.onnx_graph import OPSET, tensor_specs
from xsd_edge.export.pair import networks_of
from xsd_edge.export.parity import references
from xsd_edge.runtime.onnx_engine import OnnxEngine

pytestmark = [pytest.mark.host, pytest.mark.slow]

NAMES = (
    "vision",
    "event_encoder",
    "alignment",
    "event_memory",
    "draft_head",
    "acceptance_predictor",
    "early_memory",
    "early_head",
)


@pytest.fixture(scope="module")
def networks(pair: Pair) -> dict[str, Network]:
    """As ONNX Runtime's CPU runs them."""
    return {n.name: with_cache(n, [], pair.vocabulary)[0] for n in networks_of(pair)}


@pytest.fixture(scope="module")
def inputs(pair: Pair, networks: dict[str, Network]) -> dict[str, list[Feeds]]:
    found = batches(pair, [scene_clip(seed) for seed in (900_000_000, 900_000_001)])
    return {**found, "draft_head": cached_feeds(networks["draft_head"], found["draft_head"])}


@pytest.fixture
def folder(bundle: Bundle) -> Path:
    """NAME/fp32.onnx and NAME/int8.onnx of every network."""
    return bundle.folder


def attention_products(model: onnx.ModelProto) -> list[str]:
    """Names of the products of two activations."""
    constants = {weight.name for weight in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul" and not constants.intersection(node.input)
    ]


def bundle_keeps(folder: Path, name: str) -> dict[str, float]:
    """The layers of a part that the export left in floating point."""
    kept: dict[str, float] = json.loads((folder / "parity.json").read_text())["kept_in_float"][name]
    return kept


def answers(network: Network, graph: Path, feeds: Feeds) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """What PyTorch answers and what a graph does, in the runtime's engine; by output but for a
    token's number, which follows from the logits.
    """
    (expected,) = references(network, [feeds])
    found = {name: np.empty_like(array) for name, array in expected.items()}
    engine = OnnxEngine(graph)
    engine.run(feeds, found)
    engine.close()
    return [(expected[n], found[n]) for n in network.outputs if expected[n].dtype.kind == "f"]


def test_all_parts_are_there(networks: dict[str, Network]) -> None:
    assert tuple(networks) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_graph_answers_as_the_module(
    name: str, networks: dict[str, Network], inputs: dict[str, list[Feeds]], folder: Path
) -> None:
    network = networks[name]
    for feeds in inputs[name]:
        for precision, tolerance in (("fp32", 1e-4), ("int8", 0.1)):
            for wanted, got in answers(network, folder / f"{name}/{precision}.onnx", feeds):
                error = np.linalg.norm(wanted - got) / np.linalg.norm(wanted)
                assert error < tolerance, precision


@pytest.mark.parametrize("name", NAMES)
def test_names_and_dimensions(name: str, networks: dict[str, Network], folder: Path) -> None:
    network = networks[name]
    for precision in ("fp32", "int8"):
        model = onnx.load(str(folder / f"{name}/{precision}.onnx"))
        specs = tensor_specs(list(model.graph.input))
        assert tuple(spec.name for spec in specs) == network.inputs
        assert tuple(value.name for value in model.graph.output) == network.outputs
        for spec, example in zip(specs, network.example, strict=True):
            varies = network.dynamic.get(spec.name, {})
            assert spec.shape == tuple(varies.get(i, n) for i, n in enumerate(example.shape))
            assert spec.dtype == str(example.dtype).removeprefix("torch.")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_plain_onnx_without_traces_of_this_machine(name: str, precision: str, folder: Path) -> None:
    path = folder / f"{name}/{precision}.onnx"
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)  # also: nodes are sorted
    fused = {"com.microsoft": 1} if name == "draft_head" else {}
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": OPSET, **fused}
    assert b"site-packages" not in path.read_bytes()
    assert b"xsd_edge" not in path.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_int8_is_symmetric_and_per_channel(name: str, folder: Path) -> None:
    model = onnx.load(str(folder / f"{name}/int8.onnx"))
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
    pairs = [n for n in model.graph.node if n.op_type.endswith("QuantizeLinear")]
    assert pairs
    assert not any(n.op_type.startswith("Dynamic") for n in model.graph.node)
    for node in pairs:
        zero = constants[node.input[2]]
        assert (
            zero.dtype == np.int8
        )  # uint8 with zero point 0 would silently halve TensorRT's range
        assert not zero.any()
        assert (constants[node.input[1]] > 0).all()
    weights = [n for n in pairs if n.op_type == "QuantizeLinear" and n.input[0] in constants]
    assert all(constants[n.input[1]].size == _channels(n, constants) for n in weights)


def _channels(node: onnx.NodeProto, constants: dict[str, NDArray[Any]]) -> int:
    axis = next(a.i for a in node.attribute if a.name == "axis")
    return constants[node.input[0]].shape[axis]  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", NAMES)
def test_weight_products_are_quantized_and_nothing_else(name: str, folder: Path) -> None:
    before = onnx.load(str(folder / f"{name}/fp32.onnx")).graph
    model = onnx.load(str(folder / f"{name}/int8.onnx"))
    made_by = {output: n.op_type for n in model.graph.node for output in n.output}
    free = set(attention_products(onnx.load(str(folder / f"{name}/fp32.onnx"))))
    assert not bundle_keeps(folder, name), "every layer of the tiny pair is cheap in INT8"
    kinds = ("MatMul", "Gemm", "Conv")
    assert sum(n.op_type in kinds for n in before.node) == sum(
        n.op_type in kinds for n in model.graph.node
    )
    for node in model.graph.node:
        from_integers = [made_by.get(i) == "DequantizeLinear" for i in node.input[:2]]
        if node.op_type in kinds and node.name not in free:
            assert all(from_integers), node.name
        elif node.op_type not in ("QuantizeLinear", "Shape"):
            assert not any(from_integers), f"{node.op_type} {node.name}"
    if name in ("vision", "event_encoder", "draft_head"):
        assert free


@pytest.mark.parametrize(("rows", "past"), [(1, 0), (1, 1), (1, 9), (5, 0), (4, 11)])
def test_draft_head_takes_any_rows_behind_any_past(
    rows: int, past: int, pair: Pair, networks: dict[str, Network], folder: Path
) -> None:
    """The graph with its cache against the network as it is trained, which has none."""
    (head,) = (network for network in networks_of(pair) if network.name == "draft_head")
    rng = np.random.default_rng(rows + past)
    sizes = {"m": rows, "S": past, "T": past + rows}
    feeds: Feeds = {}
    for name, example in zip(head.inputs, head.example, strict=True):
        varies = head.dynamic.get(name, {})
        shape = [sizes[varies[i]] if i in varies else n for i, n in enumerate(example.shape)]
        feeds[name] = rng.normal(size=shape).astype(np.float32)
    feeds["position"] = np.arange(past, past + rows)
    feeds["mask"] = np.triu(np.full((rows, past + rows), -1e4, np.float32), past + 1)
    feeds["embedding"] = feeds["embedding"].astype(np.float16).astype(np.float32)
    (wanted,) = references(head, [feeds])
    network = networks["draft_head"]
    (asked,) = cached_feeds(network, [feeds])
    found = {n: np.empty_like(a) for n, a in references(network, [asked])[0].items()}
    OnnxEngine(folder / "draft_head/fp32.onnx").run(asked, found)
    for name in ("logits", "feature_out"):
        np.testing.assert_allclose(found[name][0, 0], wanted[name][0, -1], atol=1e-4)
    for name in ("keys", "values"):
        written = found[name][:, :, past : past + rows].transpose(0, 2, 1, 3)
        np.testing.assert_allclose(written, wanted[name], atol=1e-4)
        np.testing.assert_array_equal(found[name][:, :, :past], asked[f"past_{name}"][:, :, :past])
    assert found["drafted"] == pair.vocabulary[found["logits"].argmax()]


def test_draft_head_writes_to_its_cache_in_place(
    networks: dict[str, Network], inputs: dict[str, list[Feeds]], folder: Path
) -> None:
    network, engine = networks["draft_head"], OnnxEngine(folder / "draft_head/int4_blocks.onnx")
    for feeds in inputs["draft_head"][:3]:
        apart = {n: np.zeros_like(a) for n, a in references(network, [feeds])[0].items()}
        engine.run(feeds, apart)
        shared = {name: feeds[f"past_{name}"].copy() for name in ("keys", "values")}
        results = {name: np.zeros_like(array) for name, array in apart.items()} | shared
        engine.run({**feeds, **{f"past_{n}": a for n, a in shared.items()}}, results)
        for name, array in apart.items():
            np.testing.assert_array_equal(results[name], array, err_msg=name)


def test_vision_is_transformers_own_path(pair: Pair) -> None:
    images = torch.rand(1, 3, 3, 64, 64)
    with torch.no_grad():
        theirs = pair.target.model.get_video_features(images).pooler_output
        ours = Vision(pair.target)(images[0])
    assert torch.equal(ours.reshape(theirs.shape), theirs)


def test_blocks_answer_as_the_draft_head(
    networks: dict[str, Network], inputs: dict[str, list[Feeds]], folder: Path
) -> None:
    path, head = folder / "draft_head/int4_blocks.onnx", networks["draft_head"]
    free = attention_products(onnx.load(str(folder / "draft_head/fp32.onnx")))
    graph = onnx.load(str(path)).graph
    assert [n.name for n in graph.node if n.op_type == "MatMul"] == free
    assert sum(n.op_type == "MatMulNBits" for n in graph.node) == 10
    for feeds in inputs["draft_head"]:
        for wanted, got in answers(head, path, feeds):
            assert np.linalg.norm(wanted - got) < 0.15 * np.linalg.norm(wanted)
