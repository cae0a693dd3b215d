"""`xsd-edge export --dry-run`: a whole export from shapes alone, with random weights, kept nowhere.

Every part has its true size, but for the target's language model, which is cut to two layers. What
a board could refuse is found here: operators, types, shapes, memory; how well the answers agree is
not, because random weights have nothing to say.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models
from torch import nn
from transformers import CLIPVisionConfig, LlamaConfig, VideoLlavaConfig
from transformers import VideoLlavaForConditionalGeneration as VideoLlava

from xsd_edge.boards import Board
from xsd_edge.calibration.batches import Feeds
from xsd_edge.checkpoint_recipe import CheckpointRecipe, VisionSpec
from xsd_edge.export.cached import require_head, with_cache
from xsd_edge.export.calibrate import part_ranges
from xsd_edge.export.fixed import fixed_sizes
from xsd_edge.export.memory import peaks, return_freed
from xsd_edge.export.networks import EXAMPLE_ROWS, Network, draft_head_network, vision_network
from xsd_edge.export.small_part import SmallPart, for_cpu, for_engine, require_engines
from xsd_edge.export.target import export_target
from xsd_edge.export.target_parity import check_language_model
from xsd_edge.models.drafter import (
    MASKED,
    AcceptancePredictor,
    AlignmentMlp,
    DraftHead,
    EventEncoder,
    EventMemory,
)
from xsd_edge.models.eventgpt import EventGptEncoder, FoldedEncoder
from xsd_edge.recipe import DrafterSpec

Report = Callable[[str], None]
Progress = Callable[[str, int, int, Mapping[str, float]], None]
LAYERS = 2  # of the language model
BLOCK = 32  # of weights that have one scale in INT4
STEP = 2.0**-8  # between two of INT4's numbers: about the spread that checkpoints begin with
SEED = 0


def rehearse(
    recipe: CheckpointRecipe, board: Board, *, report: Report, progress: Progress
) -> dict[str, Any]:
    """Export every part for `board` into a folder that is removed; returns what was found, as JSON.

    Raises:
        BundleError: a part could not be exported for this board; says which and why.
    """
    require_engines(board)
    if board.engine == "onnxruntime":
        require_head(recipe.drafter)
    began = time.monotonic()
    report(
        f"rehearsing {recipe.name} for {board.name}: random weights of the true shapes; "
        f"of the language model's {recipe.language.layers} layers only {LAYERS}"
    )
    torch.manual_seed(SEED)
    parts: dict[str, Any] = {}
    makers = [*_makers(recipe)]
    with tempfile.TemporaryDirectory(prefix="xsd-edge-dry-run.") as scratch:
        for done, make in enumerate(makers, 1):
            network, feeds = make()
            report(f"{network.name}: {_parameters(network.module) / 1e6:.0f} M parameters")
            made = _small(network, feeds, recipe, board, Path(scratch, network.name))
            parts[network.name] = _summary(made)
            _report(report, network.name, made)
            del network, feeds, made
            gc.collect()
            return_freed()
            progress("dry run", done, len(makers) + 1, {})
        parts["target"] = _target(recipe, board, Path(scratch, "target"), report)
        progress("dry run", len(makers) + 1, len(makers) + 1, {})
    sizes = [max(part["bytes"].values()) for part in parts.values()]
    report(
        f"a bundle of {recipe.name} for {board.name} would hold about {sum(sizes) / 1e9:.1f} GB; "
        f"checked in {time.monotonic() - began:.0f} s, {peaks()}"
    )
    return {"recipe": recipe.name, "board": board.name, "bytes": sum(sizes), "parts": parts}


Made = tuple[Network, list[Feeds]]


def _makers(recipe: CheckpointRecipe) -> Iterator[Callable[[], Made]]:
    """One function per small part, so that one of the large ones is in memory at a time."""
    width, spec, tokens = recipe.language.hidden, _drafter(recipe), _event_tokens(recipe)
    features, aligned = _random(1, tokens, spec.event_hidden), _random(1, tokens, width)
    yield lambda: _vision(recipe)
    yield lambda: _event_encoder(recipe)

    def small(name: str, module: nn.Module, outputs: tuple[str, ...], **feeds: Any) -> Made:
        example = tuple(torch.from_numpy(array) for array in feeds.values())
        module.train(False)
        return Network(name, module, tuple(feeds), outputs, example), [feeds]

    yield lambda: small("alignment", AlignmentMlp(spec, width), ("aligned",), features=features)
    yield lambda: small(
        "event_memory", EventMemory(spec, width), ("keys", "values"), aligned=aligned
    )
    yield lambda: _draft_head(recipe)
    yield lambda: small(
        "acceptance_predictor",
        AcceptancePredictor(spec, width),
        ("logits",),
        hidden=_random(1, width),
        aligned=aligned,
    )


def _vision(recipe: CheckpointRecipe) -> Made:
    """The video tower alone: the language model behind it is as small as can be."""
    model = VideoLlava(_config(recipe, layers=0, tower=recipe.vision))
    del model.model.language_model, model.lm_head, model.model.image_tower
    side = recipe.vision.image_size
    images = _random(1, 3, side, side)
    model.train(False)
    return vision_network(model, torch.from_numpy(images)), [{"pixels": images}]


def _drafter(recipe: CheckpointRecipe) -> DrafterSpec:
    """As the drafter would be behind the event encoder that is rehearsed."""
    events = recipe.events
    return replace(recipe.drafter, event_hidden=events.width) if events else recipe.drafter


def _event_tokens(recipe: CheckpointRecipe) -> int:
    return recipe.events.tokens if recipe.events else recipe.drafter.event_tokens


def _event_encoder(recipe: CheckpointRecipe) -> Made:
    events, spec = recipe.events, recipe.drafter
    module: nn.Module
    if events is None:
        module = EventEncoder(spec)
        read = _random(1, 2 * spec.event_bins, spec.event_side, spec.event_side)
    else:
        tower = events.tower
        module = FoldedEncoder(EventGptEncoder(clip_config(tower), events.width))
        read = _random(events.slices, 3, tower.image_size, tower.image_size)
    module.train(False)
    example = (torch.from_numpy(read),)
    network = Network("event_encoder", module, ("events",), ("features",), example)
    return network, [{"events": read}]


def _draft_head(recipe: CheckpointRecipe) -> Made:
    spec, width = recipe.drafter, recipe.language.hidden
    head = DraftHead(spec, width, recipe.draft_vocabulary)
    head.train(False)
    network = draft_head_network(head, spec, width, _event_tokens(recipe))
    feeds = {n: t.numpy() for n, t in zip(network.inputs, network.example, strict=True)}
    feeds |= {name: feeds[name][:, :0] for name in ("past_keys", "past_values")}
    feeds["position"] = np.arange(EXAMPLE_ROWS)
    feeds["mask"] = np.triu(np.full((EXAMPLE_ROWS, EXAMPLE_ROWS), MASKED, np.float32), 1)
    return network, [feeds]


def _small(
    network: Network, feeds: list[Feeds], recipe: CheckpointRecipe, board: Board, folder: Path
) -> SmallPart:
    ranges = part_ranges(network, feeds)
    twins = folder / "twins"
    twins.mkdir(parents=True)
    if board.engine == "onnxruntime":
        any_words = np.arange(recipe.draft_vocabulary)
        network, feeds = with_cache(network, feeds, any_words)
        return for_cpu(network, ranges, feeds, folder, twins)
    sizes = fixed_sizes(network, {"draft_head": recipe.drafter.head_context})
    return for_engine(network, ranges, feeds, sizes, board.precisions, folder, twins)


def _target(recipe: CheckpointRecipe, board: Board, folder: Path, report: Report) -> dict[str, Any]:
    """The language model in its true shapes, but for the number of its layers."""
    spec = recipe.language
    tiny = VisionSpec(28, 14, 16, 16, 1, 1)
    model = VideoLlava(_config(recipe, LAYERS, tiny))
    model.train(False)
    _round(model.model.language_model)
    backend, cache = ("cuda", "float16") if board.engine == "tensorrt" else ("cpu", "float32")
    tokenizer = Tokenizer(models.BPE(vocab={"<s>": 0}, merges=[])).to_str()
    written = export_target(model, tokenizer, folder, context=spec.context, backend=backend)
    cosine = check_language_model(model, written.graph, cache)
    size = written.data.stat().st_size
    layer = _layer_bytes(model, size)
    full = size + layer * (spec.layers - LAYERS)
    report(
        f"target int4: {LAYERS} of {spec.layers} layers in {size / 1e9:.2f} GB, all of them about "
        f"{full / 1e9:.1f} GB; least cosine {cosine:.4f}"
    )
    made = {"layers": LAYERS, "of_layers": spec.layers}
    return {"bytes": {"int4": full}, "cosine_min": {"int4": cosine}, **made}


@torch.no_grad()
def _round(language: nn.Module) -> None:
    """Random weights that INT4 holds exactly. Others lose so much (least cosine 0.92 in these
    shapes) that a broken graph could not be told from a rounded one.
    """
    for layer in language.modules():
        if isinstance(layer, nn.Linear):
            codes = torch.randint(-8, 8, layer.weight.shape, dtype=torch.int8)
            codes[:, ::BLOCK] = -8  # the number that a block's scale is taken from
            layer.weight.copy_(codes).mul_(STEP)


def _layer_bytes(model: VideoLlava, size: int) -> int:
    """A layer's share of a file that also has the last product, in INT8 blocks with scales."""
    head = model.lm_head.weight.numel() * (1 + 4 / 32)
    return int(max(size - head, 0) / LAYERS)


def _config(recipe: CheckpointRecipe, layers: int, tower: VisionSpec) -> VideoLlavaConfig:
    spec = recipe.language
    text = LlamaConfig(
        vocab_size=spec.vocabulary if layers else 8,
        hidden_size=spec.hidden,
        intermediate_size=spec.intermediate if layers else 8,
        num_hidden_layers=layers,
        num_attention_heads=spec.heads,
        max_position_embeddings=spec.context,
        rope_parameters={"rope_theta": 10000.0, "rope_type": "default"},
        pad_token_id=None,
    )
    return VideoLlavaConfig(vision_config=clip_config(tower), text_config=text)


def clip_config(spec: VisionSpec) -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=spec.hidden,
        intermediate_size=spec.intermediate,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        image_size=spec.image_size,
        patch_size=spec.patch_size,
    )


def _random(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(SEED).normal(size=shape).astype(np.float32)


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _summary(made: SmallPart) -> dict[str, Any]:
    return {
        "bytes": {p: graph.stat().st_size for p, graph in made.graphs.items()},
        "cosine_min": {row.precision: row.cosine_min for row in made.rows},
        "compiled": sorted(made.compiled),
        "kept_in_float": made.kept,
    }


def _report(report: Report, name: str, made: SmallPart) -> None:
    for row in made.rows:
        report(f"{name} {row.precision}: least cosine {row.cosine_min:.6f}")
        row.require()
    for precision, built in made.compiled.items():
        report(f"{name} {precision}: compiled by TensorRT-RTX in {built.seconds:.1f} s")
