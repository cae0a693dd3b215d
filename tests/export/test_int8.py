"""Ranges, SmoothQuant, the price of INT8 and the pairs that come of them, on a small encoder."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization import CalibrationDataReader, quantize_static
from torch import nn

from tests.conftest import ROOT
from xsd_edge.calibration.batches import Feeds
from xsd_edge.calibration.ranges import PartRanges, Ranges, measure
from xsd_edge.errors import RecipeError
from xsd_edge.export.calibrate import part_ranges
from xsd_edge.export.networks import Network
from xsd_edge.export.onnx_graph import quiet, read_graph, write_graph
from xsd_edge.export.parity import check_network, references
from xsd_edge.export.quantize import QUANTIZED, layers_of, quantize
from xsd_edge.export.sensitivity import costs, too_costly
from xsd_edge.export.smoothing import smooth
from xsd_edge.models.drafter import EventEncoder
from xsd_edge.models.norm_sites import norm_sites
from xsd_edge.recipe import Recipe
from xsd_edge.runtime.onnx_engine import OnnxEngine

pytestmark = pytest.mark.host

OUTLIER = 60.0


def encoder(outliers: bool) -> Network:
    """A small event encoder; with outliers two channels of each norm are large, as in CLIP."""
    torch.manual_seed(0)
    spec = replace(
        Recipe.load(ROOT / "export" / "demo.toml").drafter,
        event_side=32,
        event_hidden=48,
        event_layers=2,
    )
    module = EventEncoder(spec).eval()
    for site in norm_sites(module) if outliers else ():
        norm = module.get_submodule(site.norm)
        with torch.no_grad():
            for channel in (3, 17):
                norm.get_parameter("weight")[channel] *= OUTLIER
                for path in site.linears:
                    module.get_submodule(path).get_parameter("weight")[:, channel] /= OUTLIER
    example = torch.rand(1, 10, 32, 32)
    return Network("event_encoder", module, ("events",), ("features",), (example,))


@pytest.fixture(scope="module")
def feeds() -> list[Feeds]:
    rng = np.random.default_rng(0)
    return [{"events": rng.poisson(0.3, (1, 10, 32, 32)).astype(np.float32)} for _ in range(4)]


@pytest.fixture(scope="module")
def network() -> Network:
    return encoder(outliers=True)


def test_ranges_are_the_extremes_of_what_each_layer_reads(
    network: Network, feeds: list[Feeds]
) -> None:
    ranges = measure(network.module, network.inputs, feeds)
    seen: list[torch.Tensor] = []
    linear = network.module.get_submodule("blocks.1.qkv")
    handle = linear.register_forward_hook(lambda _, x, __: seen.append(x[0]))
    network.reference(*(torch.from_numpy(f["events"]) for f in feeds[:1]))
    for each in feeds[1:]:
        network.reference(torch.from_numpy(each["events"]))
    handle.remove()
    largest = torch.cat(seen).abs().amax((0, 1))
    torch.testing.assert_close(
        torch.tensor(ranges.channels["blocks.1.norm1"]), largest, rtol=1e-5, atol=0
    )
    assert ranges.inputs["blocks.1.qkv"] == pytest.approx(float(largest.max()), rel=1e-5)
    assert set(ranges.inputs) == {
        name for name, m in network.module.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))
    }


def test_smoothing_changes_nothing_but_the_scales(network: Network, feeds: list[Feeds]) -> None:
    module = copy.deepcopy(network.module)
    events = torch.from_numpy(feeds[0]["events"])
    with torch.no_grad():
        before = module(events)
        ranges = measure(module, network.inputs, feeds)
        after = smooth(module, ranges)
        torch.testing.assert_close(module(events), before, rtol=1e-4, atol=1e-4)
    again = measure(module, network.inputs, feeds)
    assert again.inputs == pytest.approx(after.inputs, rel=1e-3)
    for norm in ranges.channels:
        spread = [max(r.channels[norm]) / np.median(r.channels[norm]) for r in (ranges, after)]
        assert spread[1] < spread[0] / 3


def test_outliers_cost_and_smoothing_pays(network: Network, feeds: list[Feeds]) -> None:
    plain = measure(network.module, network.inputs, feeds)
    module = copy.deepcopy(network.module)
    smoothed = smooth(module, plain)
    before = costs(network.module, network.inputs, feeds, plain)
    after = costs(module, network.inputs, feeds, smoothed)
    for linear in ("blocks.0.qkv", "blocks.1.mlp.0"):
        assert after[linear] < before[linear] / 2
    assert set(too_costly(before)) > set(too_costly(after))


def test_the_costliest_layers_come_first_and_nan_is_too_much() -> None:
    found = {"a": 0.01, "b": 0.5, "c": float("nan"), "d": 0.2}
    assert set(too_costly(found, 0.1)) == {"b", "c", "d"}
    assert [path for path in too_costly(found, 0.1) if path != "c"] == ["b", "d"]


def test_pairs_follow_the_ranges_and_costly_layers_stay_float(
    network: Network, feeds: list[Feeds], tmp_path: Path
) -> None:
    module = copy.deepcopy(network.module)
    smoothed = smooth(module, measure(module, network.inputs, feeds))
    smooth_network = replace(network, module=module)
    write_graph(smooth_network, tmp_path / "fp32.onnx")
    kept = ("blocks.0.mlp.2",)
    quantize(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", module, smoothed, kept)
    model = onnx.load(str(tmp_path / "int8.onnx"))
    layers = layers_of(read_graph(tmp_path / "fp32.onnx"), module, tmp_path)
    assert set(layers.values()) == set(smoothed.inputs)
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
    made_by = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.name not in layers:
            continue
        pair = made_by.get(node.input[0])
        path = layers[node.name]
        if path in kept:
            assert pair is None or pair.op_type != "DequantizeLinear"
        else:
            assert pair is not None
            assert pair.op_type == "DequantizeLinear"
            scale = float(constants[pair.input[1]])
            assert scale == pytest.approx(smoothed.inputs[path] / 127, rel=1e-3), path
    expected = references(network, feeds)
    check_network(smooth_network, tmp_path / "int8.onnx", "int8", feeds, expected).require()


def test_pairs_are_those_of_onnx_runtimes_own_quantizer(
    network: Network, feeds: list[Feeds], tmp_path: Path
) -> None:
    ranges = measure(network.module, network.inputs, feeds)
    source, ours, theirs = (tmp_path / f"{name}.onnx" for name in ("fp32", "ours", "theirs"))
    write_graph(network, source)
    quantize(source, ours, network.module, ranges, ())
    quantize_static_by_onnx_runtime(source, theirs, network.module, ranges, feeds[0])
    scales = []
    for path in (ours, theirs):
        model = onnx.load(str(path))
        constants = {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
        quantizing = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
        scales.append(sorted(constants[n.input[1]].ravel().tolist() for n in quantizing))
    assert [len(scale) for scale in scales[0]] == [len(scale) for scale in scales[1]]
    np.testing.assert_allclose(np.concatenate(scales[0]), np.concatenate(scales[1]), rtol=1e-6)
    answers = [np.empty_like(a["features"]) for a in references(network, feeds[:1])] * 2
    for path, answer in zip((ours, theirs), answers, strict=True):
        OnnxEngine(path).run(feeds[0], {"features": answer})
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-5, atol=1e-6)


class Once(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
    def __init__(self, feeds: Feeds) -> None:
        self._left = [feeds]

    def get_next(self) -> Feeds | None:
        return self._left.pop() if self._left else None


def quantize_static_by_onnx_runtime(
    source: Path, destination: Path, module: nn.Module, ranges: PartRanges, feeds: Feeds
) -> None:
    """The slow twin of `quantize`: 2 GB and a minute more for a tower."""
    model = read_graph(source)
    layers = layers_of(model, module, source.parent)
    products = [n for n in model.graph.node if n.op_type in QUANTIZED]
    known = {
        node.input[0]: [
            {"rmin": np.float32(-ranges.inputs[path]), "rmax": np.float32(ranges.inputs[path])}
        ]
        for node in products
        if (path := layers.get(node.name))
    }
    with quiet():
        quantize_static(
            str(source),
            str(destination),
            Once(feeds),
            op_types_to_quantize=list(QUANTIZED),
            per_channel=True,
            nodes_to_exclude=[node.name for node in products if node.name not in layers],
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "AddQDQPairToWeight": True,
                "QuantizeBias": False,
                "OpTypesToExcludeOutputQuantization": list(QUANTIZED),
                "TensorQuantOverrides": known,
            },
        )


def test_part_ranges_leave_the_network_as_it_was(network: Network, feeds: list[Feeds]) -> None:
    before = copy.deepcopy(network.module.state_dict())
    found = part_ranges(network, feeds)
    assert found.costs.keys() == found.inputs.keys()
    for name, tensor in network.module.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_ranges_file_is_read_as_written_and_the_same_each_time(
    network: Network, feeds: list[Feeds], tmp_path: Path
) -> None:
    files = []
    for number in range(2):
        ranges = Ranges("m" * 64, "d" * 64, {"event_encoder": part_ranges(network, feeds)})
        path = tmp_path / f"{number}.json"
        path.write_text(ranges.to_json())
        assert Ranges.load(path) == ranges
        files.append(path.read_bytes())
    assert files[0] == files[1]
    assert max(map(len, files[0].splitlines())) < 2000
    assert Ranges.load(tmp_path / "absent.json") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model": "", "data": "", "parts": {"a": 1}}'])
def test_a_damaged_ranges_file_names_the_command(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ranges.json"
    path.write_text(text)
    with pytest.raises(RecipeError, match="xsd-edge calibrate"):
        Ranges.load(path)


def test_ranges_without_parts() -> None:
    assert PartRanges({}, {"a": 1.0}).costs == {}
