"""What each way to INT4 costs the demo target: perplexity, exact captions, agreement, size.

    python benchmarks/target_int4.py [--scenes 60] [--ways default,k_quant] [--cache .cache]
    pip install --no-build-isolation gptqmodel optimum  # for the way gptq_optimum; brings CUDA

Captions are those of held-out scenes. Perplexity is of the true caption, teacher-forced; exact are
greedy answers that equal it; divergence is KL(float32 || way) of the next token, in nats. Every way
but `all_int8` and `fp32` leaves the vocabulary product to INT8 blocks; `gptq` is what export does.
The last line of stdout is one JSON document.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from xsd_edge.bundle import TargetInfo
from xsd_edge.calibration.batches import Pair, frames_of, prompts, visual_of
from xsd_edge.calibration.clips import CalibrationSet, scene_clip
from xsd_edge.export import target as exporting
from xsd_edge.export.gptq import BLOCK, round_language_model
from xsd_edge.export.pair import load_pair
from xsd_edge.export.quantize import pack_products
from xsd_edge.export.target_parity import divergence
from xsd_edge.recipe import Recipe
from xsd_edge.runtime.decoder import Decoder
from xsd_edge.runtime.onnx_engine import OnnxEngine
from xsd_edge.runtime.prompt import Prompt
from xsd_edge.world.scenes import DESCRIBE, HELD_OUT, Scene

LONGEST = 64
FIRST_SEED = HELD_OUT + 1000  # away from what export checks and ships
CALIBRATION_SEEDS = range(900_000_100, 900_000_116)  # of optimum's GPTQ
BUILDER = {
    "rtn": "rtn",
    "default": "default",
    "k_quant": "k_quant",
    "k_quant_mixed": "k_quant_mixed",
}
WAYS = ("fp32", *BUILDER, "gptq", "all_int8")  # and gptq_optimum


class Question(NamedTuple):
    """A held-out scene as the decoder reads it, and what it should say."""

    visual: NDArray[np.float32]  # [frames * tokens, D]
    asked: list[int]
    caption: list[int]


def questions(pair: Pair, count: int) -> list[Question]:
    prompt = Prompt(pair.words, pair.prompt)
    found = []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        caption = Scene.from_seed(seed, pair.world).caption()
        with torch.no_grad():
            visual = visual_of(pair, frames_of(pair, scene_clip(seed, pair.world).frames))
        said = prompt.tokens(f" {caption}")
        found.append(Question(visual[0].numpy(), prompt.asked(DESCRIBE), said))
    return found


Scales = dict[bytes, NDArray[np.float32]]  # of each rounded row of a weight, by the row's bytes


def optimums_gptq(pair: Pair) -> tuple[Any, Scales]:
    """The target with its layers' weights rounded by optimum's GPTQ, and their blocks' scales."""
    quantizing = import_module("optimum.gptq")
    target = copy.deepcopy(pair.target)
    language = target.model.language_model
    clips = [scene_clip(seed, pair.world) for seed in CALIBRATION_SEEDS]
    rows = prompts(pair, clips)
    starts = np.cumsum([0, *map(len, rows)])
    spans = [torch.arange(*span)[None] for span in itertools.pairwise(starts.tolist())]
    # It takes tokens only: each row of a prompt, visual or not, is one here.
    words, language.embed_tokens = (
        language.embed_tokens,
        torch.nn.Embedding.from_pretrained(torch.cat(rows)),
    )
    quantizer = quantizing.GPTQQuantizer(
        bits=4,
        group_size=BLOCK,
        dataset=[{"input_ids": span, "attention_mask": torch.ones_like(span)} for span in spans],
        block_name_to_quantize="layers",
        module_name_preceding_first_block=["embed_tokens"],
    )
    found: dict[str, Any] = {}
    quantizer.pack_model = lambda model, quantizers: found.update(quantizers)
    quantizer.post_init_model = lambda model: model
    with torch.no_grad():
        quantizer.quantize_model(language)
    language.embed_tokens = words
    del language.config.quantization_config  # it says what the checkpoint is not: packed
    scales: Scales = {}
    for path, (_, scale, _, group) in found.items():
        weight = language.get_submodule(path).weight.detach().float().numpy()
        assert torch.equal(group.long().cpu(), torch.arange(weight.shape[1]) // BLOCK)
        scales |= zip(map(bytes, np.ascontiguousarray(weight)), scale.float().numpy(), strict=True)
    return target, scales


def pack_rows(model: onnx.ModelProto, scales: Scales) -> None:
    """Products whose weights are already rounded, as ONNX Runtime's MatMulNBits, in place."""
    graph = model.graph
    constants = {c.name: c for c in graph.initializer}
    for node in graph.node:
        if node.op_type != "MatMul" or node.input[1] not in constants:
            continue
        name = node.input[1]
        weight = np.ascontiguousarray(onnx.numpy_helper.to_array(constants[name]).T)  # [N, K]
        if bytes(weight[0]) not in scales:
            continue  # the vocabulary product
        scale = np.stack([scales[bytes(row)] for row in weight])  # [N, K / BLOCK]
        n, k = weight.shape
        codes = np.rint(weight.reshape(n, -1, BLOCK) / scale[..., None]) + 8
        assert codes.min() >= 0
        assert codes.max() <= 15
        pairs = codes.astype(np.uint8)
        packed = pairs[..., ::2] | pairs[..., 1::2] << 4  # [N, K / BLOCK, BLOCK / 2]
        constants[name].CopyFrom(onnx.numpy_helper.from_array(packed, name))
        graph.initializer.append(onnx.numpy_helper.from_array(scale.ravel(), f"{name}_scales"))
        node.op_type, node.domain = "MatMulNBits", "com.microsoft"
        node.input.append(f"{name}_scales")
        settings = {"K": k, "N": n, "bits": 4, "block_size": BLOCK, "accuracy_level": 4}
        node.attribute.extend(onnx.helper.make_attribute(*item) for item in settings.items())


def make(way: str, pair: Pair, tokenizer: str, info: TargetInfo, folder: Path) -> Path:
    """The target's graph in one way; its folder holds nothing else."""
    if way in BUILDER:
        last = exporting.BUILDER_OPTIONS["int4"]
        # Under its old and its new name, too.
        chosen = (f"int4_algo_config={BUILDER[way]}", f"algo_config={BUILDER[way]}")
        exporting.BUILDER_OPTIONS["int4"] = (*last, *chosen)
        try:
            made = exporting.export_target(pair.target, tokenizer, folder, context=info.context)
        finally:
            exporting.BUILDER_OPTIONS["int4"] = last
        return made.graph
    if way == "gptq":
        clips = CalibrationSet.load(pair.name).clips(pair.world, pair.clip, print)
        rounded = round_language_model(pair.target.model.language_model, prompts(pair, clips))
        return exporting.export_target(
            pair.target, tokenizer, folder, context=info.context, rounded=rounded
        ).graph
    target, scales = optimums_gptq(pair) if way == "gptq_optimum" else (pair.target, {})
    made = exporting.export_target(
        target, tokenizer, folder, context=info.context, precision="fp32"
    )
    if way == "fp32":
        return made.graph
    model = onnx.load(str(made.graph))
    if way == "gptq_optimum":
        pack_rows(model, scales)
    for path in (made.graph, made.data):
        path.unlink()
    graph = folder / f"{way}.onnx"
    onnx.save(
        pack_products(model), str(graph), save_as_external_data=True, location=f"{way}.onnx.data"
    )
    return graph


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))


class Said(NamedTuple):
    """What a graph thinks of the true captions, and what it says itself."""

    losses: NDArray[np.float64]
    logits: list[NDArray[np.float32]]
    answers: list[list[int]]


def examine(graph: Path, pair: Pair, info: TargetInfo, asked: list[Question]) -> Said:
    decoder = Decoder(OnnxEngine(graph), info, exporting.embedding_table(pair.target))
    decoder.prefill(decoder.embed(Prompt(pair.words, pair.prompt).before))
    start = decoder.offset
    losses, logits, answers = [], [], []
    for each in asked:
        decoder.trim(start)
        decoder.prefill(each.visual)
        seen = decoder.offset
        said: list[int] = []
        newest = decoder.prefill(decoder.embed(each.asked)).logits
        while len(said) < LONGEST:
            token = int(newest[0].argmax())
            if token in info.end_tokens:
                break
            said.append(token)
            newest = decoder.forward(decoder.embed([token]), last=1).logits
        answers.append(said)
        decoder.trim(seen)
        rows = decoder.embed([*each.asked, *each.caption[:-1]])
        found = decoder.forward(rows, last=len(each.caption)).logits.copy()
        logits.append(found)
        losses.append(-log_softmax(found)[np.arange(len(each.caption)), each.caption])
    return Said(np.concatenate(losses), logits, answers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--recipe", type=Path, default=Path("export/demo.toml"))
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    given = parser.parse_args()
    pair, tokenizer = load_pair(Recipe.load(given.recipe), given.cache)
    info = pair.info
    asked = questions(pair, given.scenes)
    table: dict[str, dict[str, float]] = {}
    exact: list[NDArray[np.float32]] = []
    for way in ("fp32", *(w for w in given.ways.split(",") if w != "fp32")):
        with tempfile.TemporaryDirectory() as scratch:
            graph = make(way, pair, tokenizer, info, Path(scratch))
            size = sum(path.stat().st_size for path in Path(scratch).iterdir())
            said = examine(graph, pair, info, asked)
        exact = exact or said.logits
        pairs = zip(exact, said.logits, strict=True)
        table[way] = {
            "perplexity": round(float(np.exp(said.losses.mean())), 4),
            "exact": sum(a == q.caption for a, q in zip(said.answers, asked, strict=True)),
            "of": len(asked),
            "divergence": round(float(np.mean([divergence(*each) for each in pairs])), 5),
            "megabytes": round(size / 1e6, 1),
        }
        print(way, table[way], flush=True)
    print(json.dumps(table))


if __name__ == "__main__":
    main()
