"""A published Video-LLaVA, here a small one with random weights, becomes a bundle that answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, processors
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    VideoLlavaConfig,
    VideoLlavaForConditionalGeneration,
)

from tests.conftest import ROOT, Python
from tests.export.conftest import byte_tokenizer
from tests.test_cli import assert_one_line_error
from tests.training.conftest import in_process
from xsd_edge.boards import Board
from xsd_edge.bundle import Bundle
from xsd_edge.checkpoint_recipe import CheckpointRecipe, load_recipe
from xsd_edge.errors import AssetError, RecipeError
from xsd_edge.export.pipeline import export_bundle
from xsd_edge.runtime.prompt import Prompt
from xsd_edge.runtime.session import Session

pytestmark = [pytest.mark.host, pytest.mark.slow]

NAME = "small-llava"
VIDEO, IMAGE, WORDS, ROWS = "<video>", "<image>", 275, 288
SHAPES: dict[str, dict[str, int]] = {
    "language": {
        "vocabulary": ROWS,
        "words": WORDS,
        "hidden": 64,
        "intermediate": 160,
        "layers": 2,
        "heads": 2,
        "context": 256,
    },
    "vision": {
        "image_size": 28,
        "patch_size": 14,
        "hidden": 32,
        "intermediate": 64,
        "layers": 3,
        "heads": 2,
    },
}
Changes = Mapping[str, Mapping[str, int | str]]
UNCHANGED: Changes = {}
EDITED: Changes = {  # what differs from the shipped recipe, by table
    **SHAPES,
    "checkpoints": {"target": "published", "events": "nobody/events"},
    "drafter": {
        "event_side": 32,
        "event_patch": 8,
        "event_hidden": 24,
        "event_layers": 1,
        "event_heads": 2,
        "align_hidden": 32,
        "head_width": 48,
        "head_heads": 3,
        "head_intermediate": 64,
        "head_context": 224,
    },
    "drafter_training": {
        "scenes": 6,
        "questions": 1,
        "align_steps": 4,
        "steps": 60,
        "batch": 4,
        "feedback": 2,
        "predictor_steps": 4,
    },
}


Shapes = Mapping[str, Mapping[str, int]]


def write_published(folder: Path, shapes: Shapes = SHAPES) -> None:
    """In the layout of transformers, with a tokenizer that begins texts as Llama's does."""
    words = byte_tokenizer()
    places = [AddedToken(t, normalized=False, special=True) for t in (IMAGE, VIDEO)]
    words.add_special_tokens(places)
    image, video = (words.token_to_id(token) for token in (IMAGE, VIDEO))
    assert image is not None
    assert video is not None
    words.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
    )
    said, seen = shapes["language"], shapes["vision"]
    config = VideoLlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=seen["hidden"],
            intermediate_size=seen["intermediate"],
            num_hidden_layers=seen["layers"],
            num_attention_heads=seen["heads"],
            image_size=seen["image_size"],
            patch_size=seen["patch_size"],
        ),
        text_config=LlamaConfig(
            vocab_size=said["vocabulary"],
            hidden_size=said["hidden"],
            intermediate_size=said["intermediate"],
            num_hidden_layers=said["layers"],
            num_attention_heads=said["heads"],
            initializer_range=0.005,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=None,
        ),
        image_token_index=image,
        video_token_index=video,
        image_seq_length=4,
        video_seq_length=40,
    )
    torch.manual_seed(0)
    model: Any = VideoLlavaForConditionalGeneration(config)  # `to` is typed as a function
    with torch.no_grad():  # layers weak beside what they read: large margins
        model.model.language_model.embed_tokens.weight.normal_(0, 0.1)
        # Behind each token the next one: answers say many tokens, which a draft head can learn.
        table = model.model.language_model.embed_tokens.weight
        model.lm_head.weight.copy_(table.roll(1, 0))
        model.model.image_tower.load_state_dict(model.model.video_tower.state_dict())
    model.to(torch.float16).save_pretrained(folder)
    words.save(str(folder / "tokenizer.json"))


def written(folder: Path, changes: Changes = UNCHANGED) -> CheckpointRecipe:
    """The shipped recipe in smaller sizes, at `folder`/NAME.toml."""
    text = (ROOT / "export" / "video-llava-7b.toml").read_text(encoding="utf-8")
    text = text.replace('name = "video-llava-7b"', f'name = "{NAME}"')
    tables = {name: {**table, **changes.get(name, {})} for name, table in EDITED.items()}
    lines, table = [], ""
    for line in text.splitlines():
        if line.startswith("["):
            table = line[1 : line.index("]")]
        key = line.partition(" = ")[0]
        known = tables.get(table, {})
        lines.append(f"{key} = {json.dumps(known[key])}" if key in known else line)
    path = folder / f"{NAME}.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    recipe = load_recipe(str(path))
    assert isinstance(recipe, CheckpointRecipe)
    return recipe


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint, its recipe and its calibration set."""
    folder = tmp_path_factory.mktemp("published")
    write_published(folder / "published")
    (folder / "calibration").mkdir()
    (folder / "calibration" / f"{NAME}.toml").write_text("scenes = 2\nfirst_seed = 900000000\n")
    written(folder)
    return folder


Exporting = Callable[[str], tuple[Bundle, list[str]]]


@pytest.fixture(scope="module")
def exported(place: Path) -> Exporting:
    """The bundle of a board, made once, and what its export said."""
    made: dict[str, tuple[Bundle, list[str]]] = {}

    def export(board: str) -> tuple[Bundle, list[str]]:
        if board not in made:
            said: list[str] = []
            recipe, folder = written(place), place / "bundles" / board
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(place)
                export_bundle(
                    recipe, Board.load(board), folder, cache=place / "cache", report=said.append
                )
            made[board] = Bundle(folder), said
        return made[board]

    return export


def test_the_bundle_has_a_target_and_nothing_that_drafts(exported: Exporting) -> None:
    bundle, said = exported("cpu")
    bundle.check_all()
    manifest = bundle.manifest
    assert set(manifest.parts) == {"vision", "target"}
    assert not manifest.drafter.has_head
    assert "draft_vocabulary" not in manifest.files
    assert manifest.target.masked_tokens[-1] == ROWS - 1
    assert WORDS in manifest.target.masked_tokens
    assert any("held once, 0 tensors differ" in line for line in said)
    assert any("nobody has trained a draft head" in line for line in said)
    assert any("greedy answers equal" in line for line in said)


def test_the_prompt_begins_once(exported: Exporting) -> None:
    bundle, _ = exported("cpu")
    words = Tokenizer.from_file(str(bundle.named("tokenizer")))
    prompt = Prompt(words, bundle.manifest.prompt)
    whole = words.encode(bundle.manifest.prompt.replace("{question}", "Why?")).ids
    assert [*prompt.before, words.token_to_id(VIDEO), *prompt.asked("Why?")] == whole
    assert whole.count(1) == 1


def test_it_answers_what_plain_decoding_answers(exported: Exporting, command: Python) -> None:
    bundle, _ = exported("cpu")
    run = ("run", "--bundle", bundle.folder, "--camera", "demo", "--fast", "--max-tokens", "12")
    asked = ("--prompt", "What?", "--prompt", "What?")  # the second answer drafts from the first
    done = command(*run, *asked, "--exact", "--compare-plain", "--json")
    assert done.returncode == 0, done.stderr
    first, second, _ = [json.loads(line) for line in done.stdout.splitlines()]
    assert first["answer"] == second["answer"]
    assert first["equal"]
    assert second["equal"]
    assert second["early_accepted"] + second["accepted"] > 0
    assert_one_line_error(command(*run, "--gamma", "3"), 4, "no draft head")


def test_it_is_certified(exported: Exporting, command: Python) -> None:
    bundle, _ = exported("cpu")
    small = ("--prompts", "6", "--contexts", "1", "--max-tokens", "6", "--json")
    done = command("certify", bundle.folder, *small, timeout=400)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"] == "lossless"
    assert "draft head" not in done.stdout


def test_engines_for_a_board(exported: Exporting) -> None:
    bundle, _ = exported("orin")
    parts = bundle.manifest.parts
    assert set(parts["vision"].files) == {"fp16", "int8"}
    assert parts["vision"].backend == "tensorrt"
    assert parts["target"].backend == "cuda"
    assert bundle.manifest.target.cache_dtype == "float16"


def test_a_session_without_a_draft_head_reads_no_events(exported: Exporting) -> None:
    session = Session(exported("cpu")[0])
    assert session.silence().aligned.shape == (1, 0, SHAPES["language"]["hidden"])


@pytest.fixture(scope="module")
def learning(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place of its own, with the same checkpoint, whose drafter is trained as a user does."""
    folder = tmp_path_factory.mktemp("learning")
    (folder / "published").symlink_to(place / "published")
    (folder / "calibration").symlink_to(place / "calibration")
    written(folder)
    done = train(folder, "drafter")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("weights/video-llava-7b-drafter.safetensors")
    return folder


def train(folder: Path, phase: str) -> subprocess.CompletedProcess[str]:
    recipe, run = folder / f"{NAME}.toml", folder / "run"
    return in_process("train", phase, "--recipe", recipe, "-o", run, cache=folder / "cache")


def test_a_drafter_trained_for_it_is_in_its_bundle(learning: Path, command: Python) -> None:
    """The whole road of a user's own pair: train, export, run; plain and drafted answers agree."""
    folder = learning / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(learning)
        export_bundle(
            load_recipe(str(learning / f"{NAME}.toml")),
            Board.load("cpu"),
            folder,
            cache=learning / "cache",
            report=lambda line: None,
        )
    manifest = Bundle(folder).manifest
    assert manifest.drafter.has_head
    assert {"event_encoder", "alignment", "draft_head"} <= set(manifest.parts)
    assert (manifest.clip.event_side, manifest.clip.image_side) == (32, 28)
    assert set(manifest.provenance) >= {"target", "drafter"}
    run = ("run", "--bundle", folder, "--camera", "demo", "--fast", "--max-tokens", "24")
    done = command(*run, "--gamma", "4", "--exact", "--compare-plain", "--json")
    assert done.returncode == 0, done.stderr
    answer, _ = [json.loads(line) for line in done.stdout.splitlines()]
    assert answer["equal"]
    assert answer["drafted"] > 0


def test_what_is_trained_already_is_not_trained(learning: Path) -> None:
    for phase in ("target", "places", "things"):
        assert_one_line_error(train(learning, phase), 6, "names a published target")
    assert_one_line_error(train(learning, "early"), 6, "has no [early]")


@pytest.mark.parametrize(
    ("changes", "error", "complaint"),
    [
        ({"vision": {"layers": 24}}, RecipeError, r"vision.layers is 3, not 24"),
        ({"language": {"hidden": 4096}}, RecipeError, r"language.hidden is 64, not 4096"),
        ({"checkpoints": {"target": "lost"}}, AssetError, "put the checkpoint into .*lost"),
    ],
)
def test_another_checkpoint_is_refused(
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: Changes,
    error: type[Exception],
    complaint: str,
) -> None:
    (tmp_path / "published").symlink_to(place / "published")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(place)  # where its calibration set is
    recipe, folder = written(tmp_path, changes), tmp_path / "b"
    with pytest.raises(error, match=complaint):
        export_bundle(recipe, Board.load("cpu"), folder, cache=tmp_path / "c", report=print)
    assert not folder.exists()


def test_a_tokenizer_that_splits_otherwise_is_refused(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    (tmp_path / "published").mkdir()
    for file in (place / "published").iterdir():
        (tmp_path / "published" / file.name).symlink_to(file)
    tokenizer = tmp_path / "published" / "tokenizer.json"
    tokenizer.unlink()
    byte_tokenizer().save(str(tokenizer))  # <video> is seven bytes to this one
    recipe = written(tmp_path)
    with pytest.raises(AssetError, match="does not split a prompt at <video>"):
        export_bundle(recipe, Board.load("cpu"), tmp_path / "b", cache=tmp_path, report=print)
