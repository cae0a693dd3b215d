"""A bundle for a board with TensorRT: what its graphs are, and that they answer alike here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from tests.conftest import ROOT
from xsd_edge.boards import Board
from xsd_edge.bundle import Bundle
from xsd_edge.export import rtx
from xsd_edge.export.fixed import HEAD_ROWS
from xsd_edge.export.lint import lint
from xsd_edge.export.pipeline import export_bundle
from xsd_edge.recipe import Recipe
from xsd_edge.runtime.cosines import row_cosines
from xsd_edge.runtime.engine import DEFAULT_OPTIONS, Engine, EngineOptions
from xsd_edge.runtime.fixed_head import FixedDraftHead
from xsd_edge.runtime.onnx_engine import OnnxEngine
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.session import Session

pytestmark = [pytest.mark.host, pytest.mark.slow]

HEADS = {"draft_head": 192, "early_head": 96}  # and the rows of their caches
ENGINES = (
    "vision",
    "event_encoder",
    "alignment",
    "event_memory",
    "acceptance_predictor",
    "early_memory",
    *HEADS,
)
PRECISIONS = ("fp16", "int8")


def test_the_manifest_tells_who_runs_what(engine_bundle: Bundle) -> None:
    engine_bundle.check_all()
    manifest = engine_bundle.manifest
    assert manifest.board == "orin"  # also under its alias
    assert set(manifest.parts) == {"target", *ENGINES}
    for name in ENGINES:
        part = manifest.parts[name]
        assert part.backend == "tensorrt"
        assert set(part.files) == set(part.tolerance) == set(PRECISIONS)
        assert part.default == "fp16"
        assert part.opset == 20
    assert manifest.parts["vision"].sizes == {"n": 1}
    for head, past in HEADS.items():
        fixed = {"m": HEAD_ROWS, "S": past, "T": past + HEAD_ROWS}
        assert manifest.parts[head].sizes == fixed
    assert (manifest.parts["target"].backend, manifest.target.cache_dtype) == ("cuda", "float16")


@pytest.mark.parametrize("name", ENGINES)
def test_axes_vary_for_the_caller_and_not_in_the_graph(engine_bundle: Bundle, name: str) -> None:
    part = engine_bundle.part(name)
    for precision in part.files:
        graph = onnx.load(str(engine_bundle.graph(name, precision))).graph
        for specs, values in ((part.inputs, graph.input), (part.outputs, graph.output)):
            for spec, value in zip(specs, values, strict=True):
                fixed = tuple(part.sizes.get(str(d), d) for d in spec.shape)
                dims = value.type.tensor_type.shape.dim
                assert fixed == tuple(dim.dim_value for dim in dims), spec.name


@pytest.mark.parametrize("name", ENGINES)
def test_graphs_are_in_tensorrts_subset(engine_bundle: Bundle, name: str) -> None:
    for precision in engine_bundle.part(name).files:
        model = onnx.load(str(engine_bundle.graph(name, precision)))
        onnx.checker.check_model(model, full_check=True)
        assert lint(model) == []
        pairs = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
        assert bool(pairs) == (precision == "int8")
        wide = [c for c in model.graph.initializer if c.data_type == TensorProto.FLOAT]
        # An epsilon here and there, never a weight.
        assert all(numpy_helper.to_array(constant).size == 1 for constant in wide)


@pytest.mark.parametrize("name", ENGINES)
def test_int8_keeps_norms_attention_and_sums_in_float(engine_bundle: Bundle, name: str) -> None:
    model = onnx.load(str(engine_bundle.graph(name, "int8")))
    made_by = {output: node.op_type for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        read = {made_by.get(name) for name in node.input}
        if "DequantizeLinear" in read:
            assert node.op_type in ("MatMul", "Gemm", "Conv"), node.name


@pytest.mark.parametrize("name", ENGINES)
def test_references_are_what_the_graph_answers(engine_bundle: Bundle, name: str) -> None:
    part = engine_bundle.part(name)
    assert part.reference is not None
    stored = np.load(engine_bundle.file(part.reference), allow_pickle=False)
    feeds = {spec.name: stored[f"in.{spec.name}"] for spec in part.inputs}
    for precision in part.files:
        found = {s.name: np.empty_like(stored[f"out.{s.name}"]) for s in part.outputs}
        OnnxEngine(engine_bundle.graph(name, precision)).run(feeds, found)
        for output, array in found.items():
            cosines = row_cosines(stored[f"out.{output}"], array)
            assert cosines.min() >= part.tolerance[precision], (precision, output)


def test_no_row_of_a_reference_is_padding(engine_bundle: Bundle) -> None:
    for head in HEADS:
        part = engine_bundle.part(head)
        assert part.reference is not None
        stored = np.load(engine_bundle.file(part.reference), allow_pickle=False)
        assert np.abs(stored["in.embedding"]).sum(-1).min() > 0
        seen = (stored["in.mask"] == 0).sum(1)
        assert (np.diff(seen) == 1).all()
        assert seen[0] >= 2  # some past, and itself


def test_target_for_cuda(engine_bundle: Bundle) -> None:
    model = onnx.load(str(engine_bundle.graph("target")), load_external_data=False)
    kinds = {node.op_type for node in model.graph.node}
    assert {"MatMulNBits", "GroupQueryAttention"} <= kinds
    assert "MatMul" not in kinds
    types = {
        v.name: v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)
    }
    caches = {n: t for n, t in types.items() if n.startswith(("past_key_values.", "present."))}
    assert set(caches.values()) == {TensorProto.FLOAT16}
    for name in ("inputs_embeds", "logits", "hidden_states"):
        assert types[name] == TensorProto.FLOAT
    weights = {c.name: c.data_type for c in model.graph.initializer}
    assert TensorProto.FLOAT not in weights.values()


def test_parity_has_the_twins_too(engine_bundle: Bundle, engine_reported: list[str]) -> None:
    parity = json.loads(engine_bundle.named("parity").read_text())
    rows = {(row["part"], row["precision"]) for row in parity["graphs"]}
    assert rows == {(p, q) for p in ENGINES for q in ("fp32", "int8_fp32", *PRECISIONS)}
    assert set(parity["kept_in_float"]) == set(ENGINES)
    (agreement,) = parity["target"]
    assert agreement["top1"] >= 0.9
    assert any("peak memory" in line and " s, " in line for line in engine_reported)


@pytest.mark.rtx
@pytest.mark.skipif(not rtx.available(), reason="tensorrt-rtx-cu12 is not installed")
def test_export_compiled_every_engine_part(engine_reported: list[str]) -> None:
    compiled = {line.split(":")[0] for line in engine_reported if "compiled by" in line}
    assert compiled == {f"{name} {precision}" for name in ENGINES for precision in PRECISIONS}


def on_this_cpu(bundle: Bundle, name: str, options: EngineOptions) -> Engine:
    """ONNX Runtime's CPU kernels in place of TensorRT and CUDA, behind the same contracts."""
    part = bundle.part(name)
    engine = OnnxEngine(bundle.graph(name), options)
    return FixedDraftHead(engine, part) if "m" in part.sizes else engine


def test_a_whole_session_runs_on_its_graphs(engine_bundle: Bundle) -> None:
    """Fixed heads, float16 graphs and a float16 cache: what a board would run, on this CPU."""
    session = Session(engine_bundle, DEFAULT_OPTIONS, on_this_cpu)
    session.begin_clip()
    session.add_frame(np.full((64, 64, 3), 128, np.uint8))
    memory = session.silence()
    found = session.ask("Describe the scene.")
    assert np.isfinite(found.logits).all()
    session.draft_head.begin(memory)
    session.draft_head.observe(found.hidden, [*found.question[1:], 20])
    proposed = session.draft_head.propose(4, Sampling(), np.random.default_rng(0))
    assert len(proposed.tokens) == 4


def test_the_same_inputs_give_the_same_bytes(
    engine_bundle: Bundle, recipe: Recipe, cache: Path, tmp_path: Path
) -> None:
    """Another place, and a board of the user's own: its name alone differs."""
    board = tmp_path / "mine.toml"
    text = (ROOT / "profiles" / "orin.toml").read_text(encoding="utf-8")
    board.write_text(text.replace('name = "orin"', 'name = "mine"', 1), encoding="utf-8")
    folder = tmp_path / "again"
    made = Board.load(str(board))
    export_bundle(recipe, made, folder, cache=cache, report=lambda line: None)
    files = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    assert files == sorted(
        p.relative_to(engine_bundle.folder) for p in engine_bundle.folder.rglob("*") if p.is_file()
    )
    for file in files:
        mine, theirs = (folder / file).read_text("latin-1"), (engine_bundle.folder / file)
        assert mine.replace('"board": "mine"', '"board": "orin"') == theirs.read_text("latin-1")
