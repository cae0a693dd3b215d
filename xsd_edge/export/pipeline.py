"""`xsd-edge export`: from a trained model pair to a bundle that has proved it answers alike."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx

from xsd_edge.boards import Board
from xsd_edge.bundle import FORMAT, FileEntry, Manifest, Part, TargetInfo
from xsd_edge.bundle_writer import BundleWriter
from xsd_edge.calibration.batches import Feeds, Pair, batches, prompts
from xsd_edge.calibration.clips import CalibrationSet, Clip, digest, scene_clip
from xsd_edge.calibration.ranges import PartRanges
from xsd_edge.checkpoint_recipe import AnyRecipe
from xsd_edge.export import rtx
from xsd_edge.export.cached import require_head, with_cache
from xsd_edge.export.calibrate import model_digest, ranges_for
from xsd_edge.export.fixed import fixed_sizes
from xsd_edge.export.gptq import round_language_model
from xsd_edge.export.memory import peaks
from xsd_edge.export.networks import Network
from xsd_edge.export.onnx_graph import tensor_specs
from xsd_edge.export.pair import drafter_info, load, networks_of
from xsd_edge.export.parity import TOLERANCE, Arrays, Parity
from xsd_edge.export.small_part import SmallPart, for_cpu, for_engine, require_engines
from xsd_edge.export.target import NOT_ROUNDED, embedding_table, export_target
from xsd_edge.export.target_parity import Agreement, check_target, speak, target_reference
from xsd_edge.world.scenes import DESCRIBE, HELD_OUT

Report = Callable[[str], None]
Progress = Callable[[str, int, int, Mapping[str, float]], None]

DEMO_SEED = HELD_OUT  # of the clip that the bundle ships
PARITY_SEEDS = range(HELD_OUT + 1, HELD_OUT + 5)
TOOLS = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "onnxruntime-genai")
PHASE = "export"
Sizes = Mapping[str, int]
DimensionNames = Mapping[str, Mapping[int, str]]
NOTHING_FIXED: Sizes = MappingProxyType({})
NOTHING_NAMED: DimensionNames = MappingProxyType({})


def silent(phase: str, step: int, steps: int, values: Mapping[str, float]) -> None:
    """Progress that nobody watches."""


def export_bundle(
    recipe: AnyRecipe,
    board: Board,
    folder: Path,
    *,
    cache: Path,
    report: Report,
    progress: Progress = silent,
) -> Manifest:
    """Make the bundle of `recipe` for `board` at `folder`, all or nothing.

    `cache` keeps the base model; `report` gets a line about each thing done, `progress` each step.

    Raises:
        TrainingError: weights are missing or do not fit the recipe; names the command.
        AssetError: the base model or checkpoint cannot be had.
        BundleError: a graph does not answer as PyTorch does, TensorRT would refuse it, or `folder`
            is something else.
        RecipeError: the calibration set is wrong, or a checkpoint is another one.
    """
    require_engines(board)
    began = time.monotonic()
    with BundleWriter(folder) as writer:
        calibration = CalibrationSet.load(recipe.name)  # fails before anything large is read
        pair, tokenizer_json, hashes = load(recipe, cache, report)
        writer.path("tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
        if pair.drafter is not None and board.engine != "tensorrt":
            require_head(pair.drafter.spec)
        clips = list(calibration.clips(pair.world, pair.clip, report))
        if pair.drafter is None:
            report("nobody has trained a draft head for this target: earlier answers draft")
        networks = networks_of(pair)
        export = _Export(writer, pair, board, report, progress, steps=len(networks) + 1)
        checked = [scene_clip(seed, pair.world) for seed in PARITY_SEEDS]
        export.target(tokenizer_json, clips, checked)
        ranges = ranges_for(pair, networks, clips, model_digest(hashes), report, progress)
        feeds = batches(pair, checked)
        for network in networks:
            export.small_part(network, ranges.parts[network.name], feeds[network.name])
        tools = {tool: version(tool) for tool in TOOLS}
        manifest = export.manifest({**hashes, "calibration": digest(clips), **tools})
        writer.commit(manifest)
    report(f"wrote {folder}: {_costs(folder, time.monotonic() - began)}")
    return manifest


class _Export:
    """One export on its way: what has been written, and how it compares."""

    def __init__(
        self,
        writer: BundleWriter,
        pair: Pair,
        board: Board,
        report: Report,
        progress: Progress,
        steps: int,
    ) -> None:
        self._writer, self._pair, self._board, self._report = writer, pair, board, report
        self._engines = board.engine == "tensorrt"
        self._target_backend = "cuda" if self._engines else "cpu"
        self._precision = target_precision(board)
        half = self._engines and self._precision == "int4"
        cache_type = "float16" if half else "float32"
        self._info: TargetInfo = replace(pair.info, cache_dtype=cache_type)
        self._progress, self._steps = progress, steps
        self._parts: dict[str, Part] = {}
        self._rows: list[Parity] = []
        self._agreements: list[Agreement] = []
        self._kept: dict[str, dict[str, float]] = {}
        if self._engines and not rtx.available():
            report('engine parts are not compiled here: pip install "xsd-edge[rtx]" does that')

    def target(self, tokenizer_json: str, calibrating: list[Clip], clips: list[Clip]) -> None:
        """The language model, and the reference that its gate needs."""
        precision, rounded = self._precision, NOT_ROUNDED
        if precision == "int4":
            self._report(f"target: rounding the language model on {len(calibrating)} clips")
            asked = prompts(self._pair, calibrating)
            rounded = round_language_model(self._pair.target.model.language_model, asked)
        self._report(f"target: writing the language model in {precision}")
        folder = self._writer.path(f"target/{precision}.onnx").parent
        written = export_target(
            self._pair.target,
            tokenizer_json,
            folder,
            context=self._info.context,
            precision=precision,
            backend=self._target_backend,
            rounded=rounded,
        )
        self._report(f"target: answering {len(clips)} held-out clips in PyTorch and from the graph")
        spoken = speak(self._pair, clips, DESCRIBE, self._info)
        agreement = check_target(self._pair, written.graph, precision, self._info, spoken)
        self._agreements.append(agreement)
        self._report(
            f"target {precision}: {agreement.same_answers} of {agreement.clips} greedy answers "
            f"equal, {agreement.greedy:.1%} of greedy tokens; teacher-forced {agreement.top1:.1%}, "
            f"divergence {agreement.divergence:.4f}"
        )
        agreement.require()
        outcome = target_reference(self._pair, written.graph, self._info, spoken[0])
        reference = self._reference("target", *outcome)
        data = self._writer.entry(f"target/{written.data.name}")
        graphs = {precision: self._writer.entry(f"target/{written.graph.name}")}
        self._add_part("target", graphs, precision, reference, attachments=(data,))

    def small_part(self, network: Network, ranges: PartRanges, checking: list[Feeds]) -> None:
        """One network in the board's precisions."""
        name = network.name
        folder = self._writer.path(f"{name}/reference.npz").parent
        sizes = fixed_sizes(network, head_contexts(self._pair)) if self._engines else {}
        with tempfile.TemporaryDirectory(prefix=".twins.", dir=self._writer.work) as scratch:
            twins, has = Path(scratch), self._board.precisions
            if self._engines:
                made = for_engine(network, ranges, checking, sizes, has, folder, twins)
            else:
                network, checking = with_cache(network, checking, self._pair.vocabulary)
                made = for_cpu(network, ranges, checking, folder, twins)
        self._report_part(name, made)
        graphs = {p: self._writer.entry(f"{name}/{g.name}") for p, g in made.graphs.items()}
        reference = self._reference(name, made.inputs, made.outputs)
        self._add_part(name, graphs, made.default, reference, sizes, network.dynamic)

    def manifest(self, provenance: dict[str, str]) -> Manifest:
        """Write what is no graph, and describe everything."""
        pair, writer = self._pair, self._writer
        parity = {
            "graphs": [asdict(row) for row in self._rows],
            "target": [asdict(agreement) for agreement in self._agreements],
            "kept_in_float": self._kept,
        }
        text = json.dumps(parity, indent=1, sort_keys=True) + "\n"
        writer.path("parity.json").write_text(text, encoding="utf-8")
        np.save(writer.path("embedding.npy"), embedding_table(pair.target))
        scene_clip(DEMO_SEED, pair.world).save(writer.path("demo_clip.npz"))
        files = {
            "tokenizer": "tokenizer.json",
            "embedding": "embedding.npy",
            "parity": "parity.json",
            "demo_clip": "demo_clip.npz",
        }
        if pair.drafter is not None:
            files["draft_vocabulary"] = "draft_vocabulary.npy"
            np.save(writer.path(files["draft_vocabulary"]), pair.vocabulary)
        return Manifest(
            format=FORMAT,
            recipe=pair.name,
            board=self._board.name,
            parts=self._parts,
            files={name: writer.entry(path) for name, path in files.items()},
            prompt=pair.prompt,
            target=self._info,
            clip=pair.clip,
            drafter=drafter_info(pair),
            provenance=provenance,
            world=pair.world.table(),
        )

    def _report_part(self, name: str, made: SmallPart) -> None:
        for path, cost in made.kept.items():
            self._report(f"{name}: {path} stays in floating point, int8 would cost {cost:.1%}")
        for row in made.rows:
            self._report(
                f"{row.part} {row.precision}: cosine {row.cosine_mean:.6f}, "
                f"least {row.cosine_min:.6f}, largest error {row.max_error:g}"
            )
        for precision, built in made.compiled.items():
            self._report(
                f"{name} {precision}: compiled by TensorRT-RTX in {built.seconds:.1f} s, "
                f"plan of {built.size / 1e6:.1f} MB"
            )
        for row in made.rows:
            row.require()
        self._rows += made.rows
        self._kept[name] = made.kept

    def _reference(self, part: str, inputs: Feeds, outputs: Arrays) -> FileEntry:
        relative = f"{part}/reference.npz"
        arrays = {f"in.{k}": v for k, v in inputs.items()}
        arrays |= {f"out.{k}": v for k, v in outputs.items()}
        np.savez(self._writer.path(relative), **arrays)  # type: ignore[arg-type]  # numpy's stub has no ** form
        return self._writer.entry(relative)

    def _add_part(
        self,
        name: str,
        graphs: dict[str, FileEntry],
        default: str,
        reference: FileEntry,
        sizes: Sizes = NOTHING_FIXED,
        names: DimensionNames = NOTHING_NAMED,
        attachments: tuple[FileEntry, ...] = (),
    ) -> None:
        path = self._writer.path(graphs[default].path)
        model = onnx.load(str(path), load_external_data=False)
        small = "tensorrt" if self._engines else "cpu"
        self._parts[name] = Part(
            name=name,
            files=graphs,
            default=default,
            inputs=tensor_specs(model.graph.input, names),
            outputs=tensor_specs(model.graph.output, names),
            opset=next(o.version for o in model.opset_import if o.domain == ""),
            backend=self._target_backend if name == "target" else small,
            sizes=dict(sizes),
            reference=reference,
            tolerance={precision: TOLERANCE[precision] for precision in graphs},
            attachments=attachments,
        )
        self._progress(PHASE, len(self._parts), self._steps, {})


def target_precision(board: Board) -> str:
    """INT4 on every board that has it; a board without it gets the exact model."""
    return "int4" if "int4" in board.precisions else "fp32"


def head_contexts(pair: Pair) -> dict[str, int]:
    """Rows of the cache of each drafting head."""
    info = drafter_info(pair)
    return {"draft_head": info.context, "early_head": info.early_context}


def _costs(folder: Path, seconds: float) -> str:
    """Wall time, peak memory and the bundle's size."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{seconds:.1f} s, {peaks()}, {size / 1e6:.1f} MB"
