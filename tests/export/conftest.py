"""A tiny pair of the real architectures with random weights, and what export makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from tests.conftest import ROOT
from xsd_edge.boards import Board
from xsd_edge.bundle import Bundle
from xsd_edge.calibration.batches import Pair
from xsd_edge.export.pair import load_pair
from xsd_edge.export.pipeline import export_bundle
from xsd_edge.export.target import TargetGraph
from xsd_edge.models.drafter import Drafter
from xsd_edge.models.early import Early
from xsd_edge.models.target import LowRankLinear, TrainedPart, add_low_rank, build_target
from xsd_edge.recipe import Recipe

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<{i}>" for i in range(3, 17))]
LANGUAGE = LlamaConfig(
    vocab_size=288,
    hidden_size=96,
    intermediate_size=160,
    num_hidden_layers=2,
    num_attention_heads=3,
    num_key_value_heads=1,
    max_position_embeddings=2048,
    initializer_range=0.005,
    rope_parameters={"rope_theta": 100000.0, "rope_type": "default"},
    tie_word_embeddings=True,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=2,
)


def byte_tokenizer() -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in SPECIAL])
    return tokenizer


def write_base(folder: Path) -> dict[str, torch.Tensor]:
    """A snapshot as the hub gives it. Its layers are weak beside its embeddings: large margins."""
    model = LlamaForCausalLM(LANGUAGE)
    with torch.no_grad():
        model.model.embed_tokens.weight.normal_(0, 0.1)
    tensors = {k: v for k, v in model.state_dict().items() if k != "lm_head.weight"}
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    LANGUAGE.save_pretrained(folder)
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    return tensors


def write_trained(recipe: Recipe, base: dict[str, torch.Tensor]) -> None:
    """What `train` would leave: tower, projector and drafter at random, low-rank updates."""
    target = build_target(recipe.target, LANGUAGE, base)
    add_low_rank(target, recipe.target.low_rank)
    with torch.no_grad():
        for module in target.modules():
            if isinstance(module, LowRankLinear):
                module.b.normal_(0, 0.005)
    (recipe.folder / recipe.target.trained).parent.mkdir(parents=True)
    save_file(TrainedPart.of(target).tensors, recipe.folder / recipe.target.trained)
    drafter = Drafter(recipe.drafter, LANGUAGE.hidden_size, 40)
    tensors = {k: v.half() for k, v in drafter.state_dict().items()}
    tensors["draft_vocabulary"] = torch.arange(17, 57, dtype=torch.int32)
    save_file(tensors, recipe.folder / recipe.drafter.trained)
    if recipe.early is not None:
        early = Early(recipe.early, recipe.drafter, LANGUAGE.hidden_size, 40)
        tensors = {k: v.half() for k, v in early.state_dict().items()}
        save_file(tensors, recipe.folder / recipe.early.trained)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def tiny_recipe(folder: Path) -> Recipe:
    """The demo recipe with fewer layers; its weights are to lie in `folder`."""
    demo = Recipe.load(ROOT / "export" / "demo.toml")
    assert demo.early is not None
    return replace(
        demo,
        base=replace(demo.base, hub="nobody/tiny"),
        target=replace(demo.target, vision_layers=2, low_rank=4),
        drafter=replace(demo.drafter, event_layers=1, head_context=192),
        early=replace(demo.early, width=64, encoder_layers=1, intermediate=96),
        folder=folder,
    )


def smallest_recipe(folder: Path) -> Recipe:
    """The demo recipe with networks of a few kilobytes and without an early drafter."""
    demo = Recipe.load(ROOT / "export" / "demo.toml")
    return replace(
        demo,
        base=replace(demo.base, hub="nobody/tiny"),
        target=replace(
            demo.target, vision_hidden=24, vision_intermediate=32, vision_layers=2, low_rank=2
        ),
        drafter=replace(
            demo.drafter,
            event_patch=16,
            event_hidden=24,
            event_layers=1,
            align_hidden=24,
            head_width=48,
            head_heads=3,
            head_intermediate=32,
            head_context=192,
        ),
        early=None,
        folder=folder,
    )


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Recipe:
    """The tiny recipe with random weights; its base model lies in `cache`."""
    torch.manual_seed(0)
    tiny = tiny_recipe(tmp_path_factory.mktemp("recipe"))
    write_trained(tiny, write_base(cache / "nobody--tiny"))
    return tiny


@pytest.fixture(scope="session")
def loaded(recipe: Recipe, cache: Path) -> tuple[Pair, str]:
    return load_pair(recipe, cache)


@pytest.fixture(scope="session")
def pair(loaded: tuple[Pair, str]) -> Pair:
    return loaded[0]


@pytest.fixture(scope="session")
def reported() -> list[str]:
    """What the export of `bundle` said."""
    return []


@pytest.fixture(scope="session")
def bundle(
    recipe: Recipe, cache: Path, reported: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """The tiny pair exported for the CPU, alone in its parent directory."""
    folder = tmp_path_factory.mktemp("bundles") / "demo-cpu"
    export_bundle(recipe, Board.load("cpu"), folder, cache=cache, report=reported.append)
    return Bundle(folder)


@pytest.fixture(scope="session")
def engine_reported() -> list[str]:
    """What the export of `engine_bundle` said."""
    return []


@pytest.fixture(scope="session")
def engine_bundle(
    recipe: Recipe,
    cache: Path,
    engine_reported: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Bundle:
    """The tiny pair exported for a board that builds TensorRT engines."""
    folder = tmp_path_factory.mktemp("bundles") / "demo-orin"
    board = Board.load("orin-agx-64")
    export_bundle(recipe, board, folder, cache=cache, report=engine_reported.append)
    return Bundle(folder)


@pytest.fixture(scope="session")
def target(bundle: Bundle) -> TargetGraph:
    """The bundle's target."""
    folder = bundle.folder / "target"
    return TargetGraph(folder / "int4.onnx", folder / "int4.onnx.data")
