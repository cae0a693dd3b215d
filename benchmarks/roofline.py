"""What each Orin could do at best with Video-LLaVA-7B in INT4, and how far such figures are off.

    python benchmarks/roofline.py [--recipe FILE] [--acceptance 0.73] [--gamma 4]

A network takes the longer of two times: its bytes through the memory bus, its operations through
the tensor cores. Assumptions, all of them:

- 0.91 of the bus's peak and 0.97 of the cores' are reachable (a published study of an Orin Nano);
- INT4 weights in blocks of 32 with FP16 scales, 4.5 bits each; the rest, the KV cache and all
  activations are FP16; INT4 is multiplied as FP16; nothing but weights and cache is read;
- the highest clocks; each kernel is as good as the hardware, and launches cost nothing;
- acceptance is independent between positions, so a round brings (1 - a^(g+1)) / (1 - a) tokens.

The same rule is applied to models whose times on Orin are published, and its error is printed. The
forecast is given once more with the least favourable of these errors, and with the dearest round
that was published. The last line of stdout is one JSON document.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from xsd_edge import toml_files
from xsd_edge.boards import Board

BUS, CORES = 0.91, 0.97
INT4_32, INT4_128, FP16 = 4.5 / 8, 4.125 / 8, 2.0  # bytes a weight
BOARDS = ("orin", "orin-agx-32", "orin-nx-16", "orin-nx-8", "orin-nano-8")
FRAMES, QUESTION, ANSWER = 8, 40, 64  # of one clip; tokens
RESERVED = 2 << 30  # system, process, CUDA context, camera: bytes that no network gets


@dataclass(frozen=True, slots=True)
class Language:
    """A Llama-style decoder by its sizes; `per_weight` is bytes a weight of its layers."""

    layers: int
    hidden: int
    intermediate: int
    query: int  # width of all query heads together
    key: int  # width of all key heads together
    vocabulary: int
    per_weight: float
    head_per_weight: float  # of the last product

    @property
    def layer_weights(self) -> int:
        attention = self.hidden * (2 * self.query + 2 * self.key)
        return self.layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def head_weights(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def weight_bytes(self) -> float:
        return self.layer_weights * self.per_weight + self.head_weights * self.head_per_weight

    def cache_bytes(self, tokens: int) -> float:
        return 2 * self.layers * self.key * tokens * FP16


class Slower(NamedTuple):
    """How many times slower than the rule bus and cores are, and what a round costs in plain steps
    (None: the draft steps and the pass that the rule gives).
    """

    bus: float
    cores: float
    round_cost: float | None


AT_BEST = Slower(1.0, 1.0, None)


class Work(NamedTuple):
    """What a pass moves and computes."""

    bytes: float
    operations: float

    def seconds(self, board: Board, slower: Slower) -> float:
        bandwidth, rate = board.bandwidth(), board.dense_rate("fp16")
        assert bandwidth is not None
        assert rate is not None
        moving = slower.bus * self.bytes / (BUS * bandwidth)
        return max(moving, slower.cores * self.operations / (CORES * rate))


def decode(model: Language, rows: int, past: int) -> Work:
    """One pass of `rows` rows behind `past` tokens, logits of every row."""
    weights = model.layer_weights + model.head_weights
    attention = 4 * model.layers * model.query * (past + rows)
    moved = model.weight_bytes + model.cache_bytes(past + rows)
    return Work(moved, rows * (2 * weights + attention))


def prefill(model: Language, rows: int, past: int) -> Work:
    """As `decode`, with the logits of one row only."""
    whole = decode(model, rows, past)
    return Work(whole.bytes, whole.operations - 2 * (rows - 1) * model.head_weights)


def tower(layers: int, hidden: int, mlp_weights: int, tokens: int) -> Work:
    """A vision transformer over one picture; its patch embedding is below one percent."""
    weights = layers * (4 * hidden * hidden + mlp_weights)
    attention = 4 * layers * hidden * tokens
    return Work(weights * FP16, tokens * (2 * weights + attention))


def clip_tower(size: dict[str, Any], layers: int) -> tuple[Work, int]:
    """A CLIP tower by its table in a recipe, and its tokens with the class's."""
    tokens = (size["image_size"] // size["patch_size"]) ** 2 + 1
    mlp = 2 * size["hidden"] * size["intermediate"]
    return tower(layers, size["hidden"], mlp, tokens), tokens


def dense(rows: int, weights: int) -> Work:
    return Work(weights * FP16, 2 * rows * weights)


def together(*works: Work) -> Work:
    return Work(sum(w.bytes for w in works), sum(w.operations for w in works))


# Rounds of EAGLE-3 on AGX Orin in plain steps: tokens a round x plain rate / speculative rate, from
# the same page. The depth of its drafts is not published, so the rule cannot be applied to them.
ROUNDS = {
    "Qwen3-VL-8B": 3.94 * 32.3 / 54.8,
    "Qwen3-8B": 4.22 * 32.5 / 59.3,
    "Qwen3-VL-4B": 4.95 * 52.4 / 96.2,
}


class Published(NamedTuple):
    """A time that others measured on an Orin, and the same by our rule."""

    bound: str  # "bus" or "cores"
    what: str
    board: str
    measured_ms: float
    work: Work


def qwen3(layers: int, hidden: int, intermediate: int, query: int) -> Language:
    """Qwen3's text model: eight key heads of 128; INT4 AWQ in blocks of 128, FP16 head."""
    return Language(layers, hidden, intermediate, query, 1024, 151936, INT4_128, FP16)


def published() -> list[Published]:
    """Sources: TensorRT Edge-LLM 0.9.0's performance page (INT4 AWQ, JetPack 7.2) and, for the
    Nano, hokwangchoi/jetson-orin-nano-benchmarks; sizes from the models' configurations.
    """
    big, small = qwen3(36, 4096, 12288, 4096), qwen3(36, 2560, 9728, 4096)
    two = qwen3(28, 2048, 6144, 2048)
    past = 512  # prompt and half an answer; not published
    vit = tower(32, 1280, 3 * 1280 * 3420, 4 * 349)  # Qwen2.5-VL: 349 tokens of 4 patches each
    return [
        Published("bus", "Qwen3-VL-8B, one token", "orin", 1e3 / 32.3, decode(big, 1, past)),
        Published("bus", "Qwen3-8B, one token", "orin", 1e3 / 32.5, decode(big, 1, past)),
        Published("bus", "Qwen3-VL-4B, one token", "orin", 1e3 / 52.4, decode(small, 1, past)),
        Published("bus", "Qwen3-VL-8B, one token", "orin-nx-16", 1e3 / 18.9, decode(big, 1, past)),
        Published(
            "bus", "Cosmos-Reason2-2B, one token", "orin-nano-8", 1e3 / 60, decode(two, 1, past)
        ),
        Published("cores", "Qwen2.5-VL vision, 349 tokens", "orin", 89.0, vit),
    ]


class Case(NamedTuple):
    """The networks of one recipe, by what they move and compute."""

    target: Language
    tower: Work
    events: Work
    draft: Work
    visual: int  # tokens a frame
    weights: float  # bytes of everything together


def case(recipe: dict[str, Any]) -> Case:
    """Read the sizes from a recipe."""
    text, vision, head = recipe["language"], recipe["vision"], recipe["drafter"]
    hidden, width = text["hidden"], head["head_width"]
    shape = (text["layers"], hidden, text["intermediate"], hidden, hidden, text["vocabulary"])
    target = Language(*shape, INT4_32, INT4_32)
    # The tower's last layer but one is read, so its last is not run.
    frame, visual = clip_tower(vision, vision["layers"] - 1)
    projector = dense(visual, vision["hidden"] * hidden + hidden * hidden)
    seen = recipe["events"]["tower"]
    picture, patches = clip_tower(seen, seen["layers"])
    slices = recipe["events"]["slices"]
    pooled = slices + patches  # tokens after pooling over time and over space
    events = together(
        *[Work(0, picture.operations)] * slices,
        dense(slices * patches, seen["hidden"] * hidden),
        dense(pooled, hidden * hidden),
        Work(picture.bytes, 0),
    )
    layer = 2 * hidden * width + width * width + 4 * width * width + 2 * width * width
    weights = layer + 3 * width * head["head_intermediate"] + width * recipe["draft_vocabulary"]
    draft = Work(weights * FP16 + 4 * pooled * width, 2 * weights)
    small = sum(w.bytes for w in (frame, projector, events, draft))
    whole = target.weight_bytes + target.cache_bytes(text["context"]) + small
    return Case(target, together(frame, projector), events, draft, visual, whole)


def expected_tokens(acceptance: float, gamma: int) -> float:
    return sum(acceptance**i for i in range(gamma + 1))


def forecast(
    board: Board, all_of: Case, acceptance: float, gamma: int, slower: Slower
) -> dict[str, Any]:
    """Milliseconds of each stage, and what follows for decoding and for the answer."""
    target, past = all_of.target, FRAMES * all_of.visual + QUESTION
    late = (FRAMES - 1) * all_of.visual
    works = {
        "event_encoder": all_of.events,
        "vision_frame": all_of.tower,
        "prefill_frame": prefill(target, all_of.visual, late // 2),
        "prefill_last": prefill(target, all_of.visual + QUESTION, late),
        "plain_step": decode(target, 1, past),
        "verify_round": decode(target, gamma + 1, past),
        "draft_step": all_of.draft,
    }
    ms = {name: work.seconds(board, slower) * 1e3 for name, work in works.items()}
    c, v = ms["draft_step"] / ms["plain_step"], ms["verify_round"] / ms["plain_step"]
    tokens = expected_tokens(acceptance, gamma)
    round_cost = slower.round_cost or gamma * c + v
    speedup = tokens / round_cost
    answer = ms["vision_frame"] + ms["prefill_last"] + ANSWER * ms["plain_step"] / speedup
    memory = board.memory.gb
    assert memory is not None
    return {
        "stages_ms": {name: round(value, 2) for name, value in ms.items()},
        "c": round(c, 4),
        "v": round(v, 3),
        "tokens_per_round": round(tokens, 3),
        "round_cost": round(round_cost, 3),
        "speedup": round(speedup, 3),
        "answer_ms": round(answer, 1),
        "keeps_up": FRAMES * (ms["vision_frame"] + ms["prefill_frame"]) < 1000,
        "fits": all_of.weights + RESERVED < memory * 1e9,
    }


def check() -> list[dict[str, Any]]:
    """Each published time beside ours; `off` is how many times slower the real thing is."""
    rows = []
    for each in published():
        ours = each.work.seconds(Board.load(each.board), AT_BEST) * 1e3
        row: dict[str, Any] = {"what": each.what, "board": each.board, "bound": each.bound}
        row |= {"published_ms": round(each.measured_ms, 1), "roofline_ms": round(ours, 1)}
        row |= {"error_percent": round((ours / each.measured_ms - 1) * 100, 1)}
        rows.append(row | {"off": round(each.measured_ms / ours, 3)})
    return rows


def show(document: dict[str, Any]) -> None:
    """The same for people, as the tables of docs/performance.md."""
    print("| published | board | ms | roofline ms | error |\n| --- | --- | --- | --- | --- |")
    for row in document["checked_against"]:
        cells = (row["what"], row["board"], row["published_ms"], row["roofline_ms"])
        print(f"| {' | '.join(map(str, cells))} | {row['error_percent']:+.0f} % |")
    names = list(next(iter(document["boards"].values()))["roofline"]["stages_ms"])
    print(f"\n| board | {' | '.join(names)} | c | v | round | speed-up | 8 frames in 1 s | fits |")
    print("| --- " * (len(names) + 7) + "|")
    for name, both in document["boards"].items():
        for kind, found in both.items():
            times = " | ".join(f"{ms:.1f}" for ms in found["stages_ms"].values())
            ends = ("yes" if found[key] else "no" for key in ("keeps_up", "fits"))
            figures = f"{found['c']:.3f} | {found['v']:.2f} | {found['round_cost']:.2f}"
            gain = f"{found['speedup']:.2f}"
            print(f"| {name}, {kind} | {times} | {figures} | {gain} | {' | '.join(ends)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipe", default="export/video-llava-7b.toml")
    parser.add_argument("--acceptance", type=float, default=0.73)
    parser.add_argument("--gamma", type=int, default=4)
    asked = parser.parse_args()
    all_of = case(toml_files.read(Path(asked.recipe)))
    checked = check()
    worst = {b: max(r["off"] for r in checked if r["bound"] == b) for b in ("bus", "cores")}
    as_published = Slower(worst["bus"], worst["cores"], max(ROUNDS.values()))
    boards = {
        name: {
            kind: forecast(Board.load(name), all_of, asked.acceptance, asked.gamma, slower)
            for kind, slower in (("roofline", AT_BEST), ("as published", as_published))
        }
        for name in BOARDS
    }
    by_acceptance = {
        f"{a:.1f}": {
            kind: round(expected_tokens(a, asked.gamma) / found["round_cost"], 3)
            for kind, found in boards["orin"].items()
        }
        for a in (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
    }
    document = {
        "acceptance": asked.acceptance,
        "gamma": asked.gamma,
        "weights_and_cache_gb": round(all_of.weights / 1e9, 2),
        "checked_against": checked,
        "boards": boards,
        "published_rounds": {name: round(cost, 2) for name, cost in ROUNDS.items()},
        "speedup_by_acceptance": by_acceptance,
    }
    show(document)
    print(json.dumps(document))


if __name__ == "__main__":
    main()
