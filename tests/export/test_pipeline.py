"""A whole export of the tiny pair: what is in the bundle, and what is left when it fails."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, Python
from xsd_edge.boards import Board
from xsd_edge.bundle import MANIFEST, Bundle, Manifest, sha256_of
from xsd_edge.calibration.batches import Pair
from xsd_edge.calibration.clips import scene_clip
from xsd_edge.errors import BundleError, TrainingError
from xsd_edge.events.clips import ClipReader
from xsd_edge.events.source import open_source
from xsd_edge.export.pipeline import DEMO_SEED, export_bundle
from xsd_edge.recipe import Recipe
from xsd_edge.runtime.cosines import row_cosines
from xsd_edge.runtime.engine import open_engine
from xsd_edge.runtime.session import Session
from xsd_edge.video.frames import TrackFrames
from xsd_edge.world.scenes import HELD_OUT

pytestmark = pytest.mark.host

PARTS = {
    "target",
    "vision",
    "event_encoder",
    "alignment",
    "event_memory",
    "draft_head",
    "acceptance_predictor",
    "early_memory",
    "early_head",
}


@pytest.mark.slow
def test_bundle_is_complete_and_alone(bundle: Bundle) -> None:
    bundle.check_all()
    manifest = bundle.manifest
    assert set(manifest.parts) == PARTS
    assert set(manifest.files) == {
        "tokenizer",
        "embedding",
        "draft_vocabulary",
        "parity",
        "demo_clip",
    }
    named = {entry.path for entry in manifest.files.values()}
    for part in manifest.parts.values():
        entries = [*part.files.values(), *part.attachments, part.reference]
        named |= {entry.path for entry in entries if entry}
    there = {str(p.relative_to(bundle.folder)) for p in bundle.folder.rglob("*") if p.is_file()}
    assert there == named | {MANIFEST}
    assert [p.name for p in bundle.folder.parent.iterdir()] == ["demo-cpu"]


@pytest.mark.slow
def test_precisions_and_defaults(bundle: Bundle) -> None:
    for name in PARTS - {"target", "draft_head"}:
        part = bundle.part(name)
        assert set(part.files) == set(part.tolerance) == {"fp32", "int8"}
        assert part.default == "fp32"
        assert part.opset == 20
    assert set(bundle.part("draft_head").files) == {"fp32", "int8", "int4_blocks"}
    assert bundle.part("draft_head").default == "int4_blocks"
    assert set(bundle.part("target").files) == {"int4"}


@pytest.mark.slow
def test_a_board_without_int4_gets_the_exact_target(
    recipe: Recipe, cache: Path, bundle: Bundle, tmp_path: Path
) -> None:
    board = tmp_path / "mine.toml"
    text = (ROOT / "profiles" / "cpu.toml").read_text(encoding="utf-8")
    board.write_text(text.replace(', "int4"]', "]"), encoding="utf-8")
    folder = tmp_path / "exact"
    export_bundle(recipe, Board.load(str(board)), folder, cache=cache, report=print)
    exact = Bundle(folder)
    assert set(exact.part("target").files) == {exact.part("target").default} == {"fp32"}
    (agreement,) = json.loads(exact.named("parity").read_text())["target"]
    assert agreement["same_answers"] == agreement["clips"]
    assert agreement["divergence"] < 1e-6
    session = Session(exact)
    session.begin_clip()
    session.add_frame(np.full((64, 64, 3), 128, np.uint8))
    rounded = Session(bundle)
    rounded.begin_clip()
    rounded.add_frame(np.full((64, 64, 3), 128, np.uint8))
    found, other = (each.ask("Describe the scene.").logits for each in (session, rounded))
    assert row_cosines(found, other).min() > 0.99
    assert not np.array_equal(found, other)


@pytest.mark.slow
def test_manifest_says_what_the_runtime_needs(bundle: Bundle, pair: Pair, cache: Path) -> None:
    manifest = bundle.manifest
    assert (manifest.target.layers, manifest.target.kv_heads) == (2, 1)
    assert manifest.target.end_tokens == (2,)
    assert manifest.target.masked_tokens == (16, 15)
    assert manifest.clip.tokens_per_frame == 17
    assert manifest.drafter.context == 192
    embedding = np.load(bundle.named("embedding"), mmap_mode="r")
    assert embedding.shape == (manifest.target.vocabulary, manifest.target.hidden)
    vocabulary = np.load(bundle.named("draft_vocabulary"))
    assert np.array_equal(vocabulary, pair.vocabulary)
    assert len(manifest.provenance["calibration"]) == 64
    assert manifest.provenance["base"] == sha256_of(cache / "nobody--tiny" / "model.safetensors")
    assert manifest == Manifest.from_json(manifest.to_json())


@pytest.mark.slow
@pytest.mark.parametrize("part", sorted(PARTS - {"target"}))
def test_a_device_can_check_parity_from_the_reference(bundle: Bundle, part: str) -> None:
    described = bundle.part(part)
    assert described.reference is not None
    stored = np.load(bundle.file(described.reference), allow_pickle=False)
    expected = {n[4:]: stored[n] for n in stored.files if n.startswith("out.")}
    feeds = {n[3:]: stored[n] for n in stored.files if n.startswith("in.")}
    assert set(feeds) == {spec.name for spec in described.inputs}
    assert set(expected) == {spec.name for spec in described.outputs}
    found = {name: np.empty_like(array) for name, array in expected.items()}
    open_engine(bundle, part).run(feeds, found)
    for name, array in expected.items():
        assert row_cosines(array, found[name]).min() >= described.tolerance[described.default]


@pytest.mark.slow
def test_target_reference_is_one_prompt(bundle: Bundle) -> None:
    reference = bundle.part("target").reference
    assert reference is not None
    stored = np.load(bundle.file(reference), allow_pickle=False)
    rows = stored["in.inputs_embeds"].shape[1]
    assert stored["in.attention_mask"].shape == (1, rows)
    assert stored["in.rows"].tolist() == [rows - 1]
    assert stored["out.hidden_states"].shape == (1, rows, 96)
    assert stored["out.logits"].shape == (1, 1, 288)


@pytest.mark.slow
def test_parity_report(bundle: Bundle, reported: list[str]) -> None:
    parity = json.loads(bundle.named("parity").read_text())
    rows = {(row["part"], row["precision"]) for row in parity["graphs"]}
    small = PARTS - {"target"}
    expected = {(part, precision) for part in small for precision in ("fp32", "int8")}
    assert rows == expected | {("draft_head", "int4_blocks")}
    assert all(row["cosine_min"] >= row["tolerance"] for row in parity["graphs"])
    (agreement,) = parity["target"]
    assert agreement["clips"] == 4
    assert agreement["top1"] >= 0.9
    assert set(parity["kept_in_float"]) == small
    for part, precision in rows:
        assert any(line.startswith(f"{part} {precision}: cosine") for line in reported)
    assert any(line.startswith("target int4: ") for line in reported)


@pytest.mark.slow
def test_demo_clip_is_held_out_and_read_as_one_clip(bundle: Bundle) -> None:
    assert DEMO_SEED >= HELD_OUT
    clip = scene_clip(DEMO_SEED)
    source = open_source(str(bundle.named("demo_clip")))
    assert source.geometry == clip.geometry
    assert source.frames is not None
    frames, info = TrackFrames(source.frames), bundle.manifest.clip
    slices = list(ClipReader(source, info.duration_us, info.frames, drop_late=False))
    assert [s.t1_us for s in slices] == [125_000 * i for i in range(1, 9)]
    assert np.array_equal(np.stack([frames.at(s) for s in slices]), clip.frames)
    heard = sum(len(s.events) for s in slices)
    assert heard == len(clip.events.between(0, info.duration_us))


def test_demo_clip_is_written_alike_twice(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        scene_clip(DEMO_SEED).save(tmp_path / name)
    assert sha256_of(tmp_path / "a.npz") == sha256_of(tmp_path / "b.npz")


class Stopped(Exception):
    pass


def stop_at(text: str) -> Callable[[str], None]:
    def report(line: str) -> None:
        if text in line:
            raise Stopped

    return report


def old_bundle(folder: Path) -> dict[str, bytes]:
    """Something at `folder` that is recognised as a bundle; what it holds."""
    folder.mkdir()
    (folder / MANIFEST).write_text('{"format": 1}', encoding="utf-8")
    (folder / "tokenizer.json").write_text("old", encoding="utf-8")
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize("moment", ["loading", "language model"])
def test_interrupted_export_leaves_the_old_bundle(
    recipe: Recipe, cache: Path, tmp_path: Path, moment: str
) -> None:
    folder = tmp_path / "bundle"
    before = old_bundle(folder)
    with pytest.raises(Stopped):
        export_bundle(recipe, Board.load("cpu"), folder, cache=cache, report=stop_at(moment))
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.export.conftest import tiny_recipe
from xsd_edge.boards import Board
from xsd_edge.export.pipeline import export_bundle

recipe, cache, folder, moment = sys.argv[1:]

def report(line):
    if moment in line:
        os.kill(os.getpid(), signal.SIGKILL)

board = Board.load("orin")
export_bundle(tiny_recipe(Path(recipe)), board, Path(folder), cache=Path(cache), report=report)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["language model", "vision fp16"])
def test_killed_export_leaves_the_old_bundle(
    recipe: Recipe, cache: Path, tmp_path: Path, python: Python, moment: str
) -> None:
    folder = tmp_path / "bundle"
    before = old_bundle(folder)
    done = python("-c", KILLED, recipe.folder, cache, folder, moment, timeout=600)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    with pytest.raises(Stopped):  # the next export tidies up
        export_bundle(recipe, Board.load("cpu"), folder, cache=cache, report=stop_at("loading"))
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("what", ["target", "drafter", "early"])
def test_missing_weights_name_the_command(
    recipe: Recipe, cache: Path, tmp_path: Path, what: str
) -> None:
    lost = {what: replace(getattr(recipe, what), trained="weights/lost.safetensors")}
    with pytest.raises(TrainingError, match=f"xsd-edge train {what} --recipe demo"):
        export_bundle(
            replace(recipe, **lost), Board.load("cpu"), tmp_path / "b", cache=cache, report=print
        )
    assert list(tmp_path.iterdir()) == []


def test_weights_of_another_size_name_the_command(
    recipe: Recipe, cache: Path, tmp_path: Path
) -> None:
    other = replace(recipe, drafter=replace(recipe.drafter, head_width=192))
    with pytest.raises(TrainingError, match=r"does not fit recipe demo .*train drafter") as caught:
        export_bundle(other, Board.load("cpu"), tmp_path / "b", cache=cache, report=print)
    assert "\n" not in str(caught.value)


def test_other_directories_are_left_alone(recipe: Recipe, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(BundleError, match="not a bundle"):
        export_bundle(recipe, Board.load("cpu"), tmp_path, cache=cache, report=print)
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]
