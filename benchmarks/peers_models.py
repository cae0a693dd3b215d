"""The models that peers.py compares runtimes on, each as one folder that all of them read.

`text` is the stock base language model of the demo's target. `clips` is that target itself: what
its tower sees of each clip stands as extra rows at the end of the embedding table, so that a
runtime which only reads token ids reads a clip's visual tokens too.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.bundle import Bundle, TargetInfo

if TYPE_CHECKING:
    from transformers import VideoLlavaForConditionalGeneration

    from xsd_edge.runtime.engine import Engine

CONTEXT = 512
DRAFTED = 5  # tokens that lookup proposes at most, in every runtime
TEXTS = (
    "Explain in simple words how a bicycle stays upright while somebody rides it.",
    "Write a short story about a lighthouse keeper who finds a letter.",
    "What should a person know before adopting a dog? Give some advice.",
    "Repeat this text exactly: The delegates met on Monday in the old town hall, where the mayor "
    "welcomed them, and on Tuesday they visited the harbour, where the mayor welcomed them again, "
    "and on Wednesday they went home by train.",
    "Correct the spelling: The new libary will opn in May. It has a readng room, a room for "
    "chilren and a cafe. The libary is next to the old schol, which was closd two yeers ago.",
    "Turn this list into sentences: the red bus leaves at nine from the station, the blue bus "
    "leaves at ten from the market, the green bus leaves at eleven from the station.",
)


class Prompt(NamedTuple):
    tokens: list[int]
    seed: int | None = None  # of the scene whose clip it begins with


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """One language model as every runtime wants it."""

    path: Path
    info: TargetInfo
    ends: tuple[int, ...]  # tokens that end an answer; none where every answer has one length
    prompts: tuple[Prompt, ...]
    graph: Path  # INT4, for our decoder
    gguf: Path | None = None  # Q4_1
    bundle: Path | None = None

    @property
    def table(self) -> Path:
        return self.path / "embedding.npy"  # [V + extra, D] float16

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint"  # transformers

    @property
    def genai(self) -> Path:
        return self.path / "genai"

    def write(self) -> None:
        """The last file, so that a folder that can be read is complete."""
        (self.path / "model.json").write_text(json.dumps(asdict(self), default=str))

    @classmethod
    def read(cls, path: Path) -> ModelFolder:
        found = json.loads((path / "model.json").read_text())
        info = {k: tuple(v) if isinstance(v, list) else v for k, v in found["info"].items()}
        gguf, bundle = (Path(found[k]) if found[k] else None for k in ("gguf", "bundle"))
        prompts = tuple(Prompt(*each) for each in found["prompts"])
        graph, ends = Path(found["graph"]), tuple(found["ends"])
        return cls(path, TargetInfo(**info), ends, prompts, graph, gguf, bundle)


def text_model(bundle: Bundle, cache: Path, path: Path) -> ModelFolder:
    """The stock language model, exported as the demo's target is."""
    from tokenizers import Tokenizer

    from xsd_edge.assets import fetch_base
    from xsd_edge.export.target import embedding_table, export_target, save_language_model
    from xsd_edge.models.base_model import load_base
    from xsd_edge.models.target import build_target
    from xsd_edge.recipe import Recipe

    recipe = Recipe.load(Path("export/demo.toml"))
    gguf = fetch_base(recipe.base, cache)
    base = load_base(gguf)
    model = build_target(recipe.target, base.config, base.tensors)
    path.mkdir(parents=True)
    graph = export_target(model, base.tokenizer_json, path, context=CONTEXT).graph
    save_language_model(model, base.tokenizer_json, path / "checkpoint", CONTEXT)
    np.save(path / "embedding.npy", embedding_table(model))
    words = Tokenizer.from_str(base.tokenizer_json)
    chat = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
    prompts = tuple(Prompt(words.encode(chat.format(text)).ids) for text in TEXTS)
    folder = ModelFolder(path, bundle.manifest.target, (), prompts, graph, gguf.resolve())
    return with_genai(folder)


def clip_model(bundle: Bundle, cache: Path, path: Path, clips: int) -> ModelFolder:
    """The demo's target with the visual tokens of held-out clips."""
    from tokenizers import Tokenizer

    from xsd_edge.export.target import save_language_model
    from xsd_edge.models.trained import trained_target
    from xsd_edge.recipe import Recipe
    from xsd_edge.runtime.engine import open_engine
    from xsd_edge.runtime.prompt import Prompt as Around
    from xsd_edge.world.scenes import DESCRIBE, HELD_OUT

    vision, words = (
        open_engine(bundle, "vision"),
        Tokenizer.from_file(str(bundle.named("tokenizer"))),
    )
    around = Around(words, bundle.manifest.prompt)
    first, last = around.before, around.asked(DESCRIBE)
    info, visual, prompts = bundle.manifest.target, [], []
    for number in range(clips):
        seen = visual_tokens(bundle, vision, HELD_OUT + number)
        start = info.vocabulary + number * len(seen)
        visual.append(seen)
        rows = list(range(start, start + len(seen)))
        prompts.append(Prompt([*first, *rows, *last], HELD_OUT + number))
    path.mkdir(parents=True)
    table = np.concatenate([np.load(bundle.named("embedding")), *visual]).astype(np.float16)
    np.save(path / "embedding.npy", table)
    target, _, tokenizer_json = trained_target(Recipe.load(Path("export/demo.toml")), cache)
    save_language_model(_widened(target, table), tokenizer_json, path / "checkpoint", CONTEXT)
    folder = ModelFolder(
        path,
        info,
        info.end_tokens,
        tuple(prompts),
        bundle.graph("target").resolve(),
        bundle=bundle.folder.resolve(),
    )
    return with_genai(folder)


def visual_tokens(bundle: Bundle, vision: Engine, seed: int) -> NDArray[np.float32]:
    """What the target reads of a scene's frames. [frames * tokens, D]"""
    from xsd_edge.runtime.engine import arrays_for
    from xsd_edge.video.preprocess import pixels
    from xsd_edge.world.scenes import Scene
    from xsd_edge.world.spec import World

    manifest = bundle.manifest
    result = arrays_for(vision, manifest.parts["vision"].outputs, n=1)
    seen = []
    for frame in Scene.from_seed(seed, World.of(bundle)).frames():
        vision.run({"pixels": pixels(frame, manifest.clip)}, result)
        seen.append(result["visual"][0].copy())
    return np.concatenate(seen)


def _widened(
    model: VideoLlavaForConditionalGeneration, table: NDArray[np.float16]
) -> VideoLlavaForConditionalGeneration:
    """The same model with all rows of the table as tokens; those that it could not say before get
    the logit 0, which is never the largest.
    """
    import torch

    language = model.model.language_model
    language.embed_tokens = torch.nn.Embedding.from_pretrained(torch.from_numpy(table).float())
    said = model.lm_head.weight.detach()
    model.lm_head.weight = torch.nn.Parameter(
        torch.cat([said, said.new_zeros(len(table) - len(said), said.shape[1])])
    )
    model.config.text_config.vocab_size = len(table)
    return model


def with_genai(folder: ModelFolder) -> ModelFolder:
    """The folder complete: GenAI's part of it, then its description."""
    from benchmarks.genai_loop import write_genai

    info = folder.info
    never = info.masked_tokens[0] if info.masked_tokens else info.vocabulary - 1
    folder.genai.mkdir()
    end = folder.ends[0] if folder.ends else never
    write_genai(folder.graph, folder.table, info, end, folder.genai)
    folder.write()
    return folder
