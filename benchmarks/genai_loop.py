"""Plain greedy decoding against ONNX Runtime GenAI's own loop on the same graph, in turns.

    python benchmarks/genai_loop.py [BUNDLE] [--runs 20]

GenAI reads token ids and scores every row; the bundle's target reads embeddings and scores the rows
it is asked for. So GenAI gets that graph with the bundle's embedding table in front and without the
selection of rows: the same operators over the same weight file, as its own model builder would have
written them. Both get every core: left to itself GenAI takes one thread. Reading the prompt is on
neither clock. The last line of stdout is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime_genai as og
from onnx import TensorProto, helper

from benchmarks.medians import figure
from xsd_edge.bundle import Bundle, TargetInfo
from xsd_edge.runtime.decoder import Decoder
from xsd_edge.runtime.engine import DEFAULT_OPTIONS, open_engine
from xsd_edge.runtime.loop import Limits, Prefilled, generate
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.verifier import GreedyVerifier

PROMPT = 200  # tokens, about what a clip and its question take
ANSWER = 64
PAUSE_S = 0.05  # idle threads of the one stop spinning before the other starts


class Generated(NamedTuple):
    tokens: list[int]
    seconds: float  # from the first token to the last


def contest(bundle: Path, runs: int) -> Iterator[tuple[Generated, Generated]]:
    """(ours, GenAI's) of the same random prompt, whoever begins alternating; the first pair, which
    warms up, is not handed out.
    """
    opened = Bundle(bundle)
    info = opened.manifest.target
    rng = np.random.default_rng(0)
    ours = OurLoop(opened)
    with genai_folder(opened) as folder:
        theirs = GenaiLoop(folder)
        for run in range(runs + 1):
            prompt = [int(token) for token in rng.integers(100, info.vocabulary, PROMPT)]
            loops = (ours, theirs) if run % 2 else (theirs, ours)
            said = {}
            for loop in loops:
                time.sleep(PAUSE_S)
                said[loop] = loop.run(prompt)
            if run:
                yield said[ours], said[theirs]


class OurLoop:
    """The loop of `xsd-edge run --plain` over the bundle's target."""

    def __init__(self, bundle: Bundle) -> None:
        manifest = bundle.manifest
        table = np.asarray(np.load(bundle.named("embedding"), mmap_mode="r", allow_pickle=False))
        # No end: every answer has the asked length.
        info = replace(manifest.target, end_tokens=(), masked_tokens=())
        self._decoder = Decoder(open_engine(bundle, "target", DEFAULT_OPTIONS), info, table)

    def run(self, prompt: Sequence[int]) -> Generated:
        decoder = self._decoder
        decoder.trim(0)
        logits, hidden = decoder.prefill(decoder.embed(prompt))
        start = Prefilled(logits, hidden[-1:], tuple(prompt[-1:]))
        rounds = generate(decoder, start, GreedyVerifier(), Sampling(), Limits(ANSWER))
        tokens = [*next(rounds).tokens]
        began = time.perf_counter()
        for round_ in rounds:
            tokens += round_.tokens
        return Generated(tokens, time.perf_counter() - began)


class GenaiLoop:
    """GenAI's generator, called for nothing but the next token."""

    def __init__(self, folder: Path) -> None:
        self._model = og.Model(str(folder))
        self._search = og.GeneratorParams(self._model)
        self._search.set_search_options(max_length=PROMPT + ANSWER, do_sample=False)

    def run(self, prompt: Sequence[int]) -> Generated:
        generator = og.Generator(self._model, self._search)
        generator.append_tokens(np.asarray(prompt, np.int32))
        generator.generate_next_token()
        began = time.perf_counter()
        while not generator.is_done():
            generator.generate_next_token()
        took = time.perf_counter() - began
        return Generated(generator.get_sequence(0).tolist()[len(prompt) :], took)


@contextmanager
def genai_folder(bundle: Bundle) -> Iterator[Path]:
    """The bundle's target as a folder that GenAI loads."""
    with tempfile.TemporaryDirectory(dir=bundle.folder.parent, prefix=".genai.") as scratch:
        folder, info = Path(scratch), bundle.manifest.target
        never = info.masked_tokens[0] if info.masked_tokens else info.vocabulary - 1
        write_genai(bundle.graph("target"), bundle.named("embedding"), info, never, folder)
        yield folder


def write_genai(graph: Path, table: Path, info: TargetInfo, end: int, folder: Path) -> None:
    """A target graph and its embedding table [V', D] as GenAI's model folder, weights linked, not
    copied; answers end at token `end`.
    """
    for weights in (graph.with_name(f"{graph.name}.data"), table):
        link(weights, folder / weights.name)
    network = onnx.load(str(graph), load_external_data=False)
    read_ids(network, folder / table.name)
    onnx.save(network, str(folder / "model.onnx"))
    settings = json.dumps(genai_config(info, end))
    (folder / "genai_config.json").write_text(settings, encoding="utf-8")


def link(source: Path, name: Path) -> None:
    """Give a file another name, or copy it where that cannot be done."""
    try:
        os.link(source, name)
    except OSError:
        shutil.copyfile(source, name)


def read_ids(network: onnx.ModelProto, table: Path) -> None:
    """Put the embedding table in front of a target graph and let it score every row, in place."""
    graph = network.graph
    (last,) = (node for node in graph.node if "asked_states" in node.input)
    (selection,) = (node for node in graph.node if "asked_states" in node.output)
    last.input[0] = selection.input[0]
    graph.node.remove(selection)
    for name in ("rows", "inputs_embeds"):
        graph.input.remove(next(value for value in graph.input if value.name == name))
    rows = np.load(table, mmap_mode="r", allow_pickle=False)
    weights = onnx.TensorProto(
        name="embedding",
        data_type=TensorProto.FLOAT16,
        dims=rows.shape,
        data_location=TensorProto.EXTERNAL,
    )
    place = {"location": table.name, "offset": rows.offset, "length": rows.nbytes}
    for key, value in place.items():
        weights.external_data.add(key=key, value=str(value))
    graph.initializer.append(weights)
    graph.input.insert(0, helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "m"]))
    lookup = helper.make_node("Gather", ["embedding", "input_ids"], ["embedded"])
    widen = helper.make_node("Cast", ["embedded"], ["inputs_embeds"], to=TensorProto.FLOAT)
    graph.node.insert(0, widen)
    graph.node.insert(0, lookup)
    (logits,) = (value for value in graph.output if value.name == "logits")
    logits.type.tensor_type.shape.dim[1].dim_param = "m"


def genai_config(info: TargetInfo, end: int) -> dict[str, object]:
    """What GenAI's builder writes beside a Llama model, for this target."""
    caches = {
        f"{when}_{kind}_names": f"{prefix}.%d.{kind}"
        for when, prefix in (("past", "past_key_values"), ("present", "present"))
        for kind in ("key", "value")
    }
    pasts = {name: value for name, value in caches.items() if name.startswith("past")}
    presents = {name: value for name, value in caches.items() if name.startswith("present")}
    decoder = {
        "session_options": {
            "intra_op_num_threads": len(os.sched_getaffinity(0)),
            "provider_options": [],
        },
        "filename": "model.onnx",
        "head_size": info.head_width,
        "hidden_size": info.hidden,
        "inputs": {"input_ids": "input_ids", "attention_mask": "attention_mask", **pasts},
        "outputs": {"logits": "logits", **presents},
        "num_attention_heads": info.hidden // info.head_width,
        "num_hidden_layers": info.layers,
        "num_key_value_heads": info.kv_heads,
    }
    return {
        "model": {
            "bos_token_id": end,
            "eos_token_id": end,
            "pad_token_id": end,
            "context_length": info.context,
            "decoder": decoder,
            "type": "llama",
            "vocab_size": info.vocabulary,
        },
        "search": {"past_present_share_buffer": True, "max_length": info.context},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("bundles/demo-cpu"))
    parser.add_argument("--runs", type=int, default=20)
    given = parser.parse_args()
    pairs = list(contest(given.bundle, given.runs))
    steps = ANSWER - 1
    document = {
        "plain_vs_genai": figure([theirs.seconds / ours.seconds for ours, theirs in pairs]),
        "ours_tokens_per_s": figure([steps / ours.seconds for ours, _ in pairs]),
        "genai_tokens_per_s": figure([steps / theirs.seconds for _, theirs in pairs]),
        "same_answers": sum(ours.tokens == theirs.tokens for ours, theirs in pairs),
        "onnxruntime_genai": og.__version__,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
