"""`xsd-edge export`: from a trained model pair to a bundle that has proved it answers alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx

from xsd_edge.assets import fetch_base
from xsd_edge.boards import Board, require_exportable
from xsd_edge.bundle import FORMAT, BundleWriter, FileEntry, Manifest, Part, TargetInfo, sha256_of
from xsd_edge.calibration.batches import Feeds, Pair, batches
from xsd_edge.calibration.clips import CalibrationSet, Clip, scene_clip
from xsd_edge.export.networks import Network, small_networks
from xsd_edge.export.onnx_graph import tensor_specs, write_graph
from xsd_edge.export.pair import clip_info, drafter_info, load_pair
from xsd_edge.export.parity import TOLERANCE, Arrays, Parity, check_network, references
from xsd_edge.export.quantize import pack_blocks, quantize
from xsd_edge.export.target import embedding_table, export_target
from xsd_edge.export.target_parity import Agreement, Spoken, check_target, speak
from xsd_edge.models.trained import target_info
from xsd_edge.recipe import Recipe
from xsd_edge.runtime.decoder import Decoder
from xsd_edge.runtime.onnx_engine import OnnxEngine
from xsd_edge.training.scenes import DESCRIBE, HELD_OUT

Report = Callable[[str], None]

# Milliseconds of one run on one core of an x86 server with VNNI (benchmarks/precisions.py), fp32 /
# int8 with Q/DQ / int8_blocks: vision 1.1 / 1.9, event encoder 2.6 / 5.7, draft head 0.59 / 0.59 /
# 0.32. The other parts lose by int8 too, and run once a clip.
BLOCKS_FOR = ("draft_head",)  # on boards that run ONNX Runtime
DEMO_SEED = HELD_OUT  # of the clip that the bundle ships
PARITY_SEEDS = range(HELD_OUT + 1, HELD_OUT + 5)
TOOLS = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "onnxruntime-genai")


def export_bundle(
    recipe: Recipe, board: Board, folder: Path, *, cache: Path, report: Report
) -> Manifest:
    """Make the bundle of `recipe` for `board` at `folder`, all or nothing.

    `cache` keeps the base model; `report` gets a line about each thing done.

    Raises:
        TrainingError: weights are missing or do not fit the recipe; names the command.
        AssetError: the base model cannot be had.
        BundleError: a graph does not answer as PyTorch does, or `folder` is something else.
        RecipeError: the calibration set is wrong.
    """
    require_exportable(board)
    with BundleWriter(folder) as writer:
        calibration = CalibrationSet.load(recipe.name)
        report(f"loading {recipe.name}: base model, target, drafter")
        pair, tokenizer_json = load_pair(recipe, cache)
        writer.path("tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
        info = target_info(recipe, pair.target)
        export = _Export(writer, pair, board, info, report)
        export.target(tokenizer_json, [scene_clip(seed) for seed in PARITY_SEEDS])
        export.small_networks(list(calibration.clips(recipe, report)))
        manifest = export.manifest(_provenance(recipe, calibration, fetch_base(recipe.base, cache)))
        writer.commit(manifest)
    report(f"wrote {folder}")
    return manifest


class _Export:
    """One export on its way: what has been written, and how it compares."""

    def __init__(
        self, writer: BundleWriter, pair: Pair, board: Board, info: TargetInfo, report: Report
    ) -> None:
        self._writer, self._pair, self._board = writer, pair, board
        self._info, self._report = info, report
        self._parts: dict[str, Part] = {}
        self._rows: list[Parity] = []
        self._agreements: list[Agreement] = []

    def target(self, tokenizer_json: str, clips: list[Clip]) -> None:
        """The language model in INT4, and the reference that its gate needs."""
        self._report("target: quantizing the language model to int4")
        folder = self._writer.path("target/int4.onnx").parent
        context = self._info.context
        written = export_target(self._pair.target, tokenizer_json, folder, context=context)
        self._report(f"target: answering {len(clips)} held-out clips in PyTorch and from the graph")
        spoken = speak(self._pair, clips, DESCRIBE, self._info)
        agreement = check_target(self._pair, written.graph, "int4", self._info, spoken)
        self._agreements.append(agreement)
        self._report(
            f"target int4: {agreement.same_answers} of {agreement.clips} greedy answers equal, "
            f"{agreement.greedy:.1%} of greedy tokens; teacher-forced {agreement.top1:.1%}, "
            f"divergence {agreement.divergence:.4f}"
        )
        agreement.require()
        outcome = _target_reference(self._pair, written.graph, self._info, spoken[0])
        reference = self._reference("target", *outcome)
        data = self._writer.entry(f"target/{written.data.name}")
        graphs = {"int4": self._writer.entry(f"target/{written.graph.name}")}
        self._add_part("target", graphs, "int4", reference, (data,))

    def small_networks(self, clips: list[Clip]) -> None:
        """Everything else in FP32 and INT8, with what is fastest here as the default."""
        pair = self._pair
        self._report(f"calibrating on {len(clips)} clips")
        calibrating = batches(pair, clips)
        checking = batches(pair, [scene_clip(seed) for seed in PARITY_SEEDS])
        spec = pair.recipe
        for network in small_networks(pair.target, pair.drafter, spec.target, spec.drafter):
            self._small_network(network, calibrating[network.name], checking[network.name])

    def _small_network(
        self, network: Network, calibrating: list[Feeds], checking: list[Feeds]
    ) -> None:
        expected = references(network, checking)
        graphs: dict[str, FileEntry] = {}
        first = self._writer.path(f"{network.name}/fp32.onnx")
        makers: dict[str, Callable[[Path], None]] = {
            "fp32": lambda path: write_graph(network, path),
            "int8": lambda path: quantize(first, path, calibrating),
        }
        if network.name in BLOCKS_FOR:
            makers["int8_blocks"] = lambda path: pack_blocks(first, path)
        for precision, make in makers.items():
            path = first.with_name(f"{precision}.onnx")
            make(path)
            self._add_row(check_network(network, path, precision, checking, expected))
            graphs[precision] = self._writer.entry(f"{network.name}/{precision}.onnx")
        reference = self._reference(network.name, checking[0], expected[0])
        default = "int8_blocks" if network.name in BLOCKS_FOR else "fp32"
        self._add_part(network.name, graphs, default, reference)

    def manifest(self, provenance: dict[str, str]) -> Manifest:
        """Write what is no graph, and describe everything."""
        recipe, writer = self._pair.recipe, self._writer
        parity = {
            "graphs": [asdict(row) for row in self._rows],
            "target": [asdict(agreement) for agreement in self._agreements],
        }
        text = json.dumps(parity, indent=1, sort_keys=True) + "\n"
        writer.path("parity.json").write_text(text, encoding="utf-8")
        np.save(writer.path("embedding.npy"), embedding_table(self._pair.target))
        np.save(writer.path("draft_vocabulary.npy"), self._pair.vocabulary)
        scene_clip(DEMO_SEED).save(writer.path("demo_clip.npz"))
        files = {
            "tokenizer": "tokenizer.json",
            "embedding": "embedding.npy",
            "draft_vocabulary": "draft_vocabulary.npy",
            "parity": "parity.json",
            "demo_clip": "demo_clip.npz",
        }
        return Manifest(
            format=FORMAT,
            recipe=recipe.name,
            board=self._board.name,
            parts=self._parts,
            files={name: writer.entry(path) for name, path in files.items()},
            prompt=recipe.target.prompt,
            target=self._info,
            clip=clip_info(recipe),
            drafter=drafter_info(recipe),
            provenance=provenance,
        )

    def _reference(self, part: str, inputs: Feeds, outputs: Arrays) -> FileEntry:
        relative = f"{part}/reference.npz"
        arrays = {f"in.{k}": v for k, v in inputs.items()}
        arrays |= {f"out.{k}": v for k, v in outputs.items()}
        np.savez(self._writer.path(relative), **arrays)  # type: ignore[arg-type]  # numpy's stub has no ** form
        return self._writer.entry(relative)

    def _add_row(self, row: Parity) -> None:
        self._rows.append(row)
        self._report(
            f"{row.part} {row.precision}: cosine {row.cosine_mean:.6f}, "
            f"least {row.cosine_min:.6f}, largest error {row.max_error:g}"
        )
        row.require()

    def _add_part(
        self,
        name: str,
        graphs: dict[str, FileEntry],
        default: str,
        reference: FileEntry,
        attachments: tuple[FileEntry, ...] = (),
    ) -> None:
        path = self._writer.path(graphs[default].path)
        network = onnx.load(str(path), load_external_data=False)
        self._parts[name] = Part(
            name=name,
            files=graphs,
            default=default,
            inputs=tensor_specs(list(network.graph.input)),
            outputs=tensor_specs(list(network.graph.output)),
            opset=next(o.version for o in network.opset_import if o.domain == ""),
            reference=reference,
            tolerance={precision: TOLERANCE[precision] for precision in graphs},
            attachments=attachments,
        )


def _target_reference(
    pair: Pair, graph: Path, info: TargetInfo, spoken: Spoken
) -> tuple[Feeds, Arrays]:
    """One prompt in one pass from an empty cache: states of all rows, logits of the last.

    As the graph itself answers here: an engine elsewhere has to agree with what was exported.
    """
    table = embedding_table(pair.target)
    before = pair.words.encode(pair.recipe.target.prompt.split("<video>")[0]).ids
    inputs = np.concatenate([table[before], spoken.visual, table[spoken.question]])
    inputs = inputs.astype(np.float32)
    rows = len(inputs)
    logits, hidden = Decoder(OnnxEngine(graph), info, table).prefill(inputs)
    feeds: Feeds = {
        "inputs_embeds": inputs[None],
        "attention_mask": np.ones((1, rows), np.int64),
        "rows": np.array([rows - 1], np.int64),
    }
    return feeds, {"logits": logits[None], "hidden_states": hidden[None]}


def _provenance(recipe: Recipe, calibration: CalibrationSet, base: Path) -> dict[str, str]:
    """What the bundle was made of, by hash, and with which tools."""
    weights = sorted(base.glob("*.safetensors")) if base.is_dir() else [base]
    return {
        "base": " ".join(sha256_of(path) for path in weights),
        "target": sha256_of(recipe.folder / recipe.target.trained),
        "drafter": sha256_of(recipe.folder / recipe.drafter.trained),
        "calibration": calibration.digest(),
        **{tool: version(tool) for tool in TOOLS},
    }
