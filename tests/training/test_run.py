"""`xsd-edge train` as a user runs it, on a tiny pair: phases, resuming, several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import ROOT
from tests.export.test_checkpoint import SHAPES, write_published
from tests.export.test_checkpoint import written as written_checkpoint
from tests.training.conftest import TinyPair, in_process, write_pair, write_recipe
from xsd_edge.recipe import Recipe

pytestmark = [pytest.mark.host, pytest.mark.slow]

LAUNCH: tuple[str, ...] = (
    "-m",
    "accelerate.commands.launch",
    "--cpu",
    "--num_processes",
    "2",
    "--num_machines",
)
LAUNCH += ("1", "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "xsd_edge")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> TinyPair:
    return write_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def aligned(pair: TinyPair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has collected and aligned."""
    run = tmp_path_factory.mktemp("runs") / "aligned"
    done = train(pair, "align", run)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(run / "align.safetensors")
    return run


def environment(pair: TinyPair) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XSD_EDGE_CACHE": str(pair.cache),
        "OMP_NUM_THREADS": "1",
    }


def train(
    pair: TinyPair, phase: str, run: Path, *options: str, launch: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    wanted: tuple[str | Path, ...] = ("train", phase, "--recipe", pair.recipe, "-o", run, *options)
    if not launch:
        return in_process(*wanted, cache=pair.cache)
    return subprocess.run(
        [sys.executable, *launch, *wanted],
        env=environment(pair),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def copied(run: Path, to: Path) -> Path:
    to.mkdir()
    for name in ("distilled.npz", "align.safetensors"):
        (to / name).write_bytes((run / name).read_bytes())
    return to


def losses(run: Path, phase: str) -> list[float]:
    lines = (run / f"{phase}.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(len(lines)))
    return [json.loads(line)["loss"] for line in lines]


def written(pair: TinyPair) -> dict[str, torch.Tensor]:
    return load_file(pair.recipe.parent / "weights" / "demo-drafter.safetensors")


def test_phase_by_phase_is_the_whole_road(pair: TinyPair, aligned: Path, tmp_path: Path) -> None:
    run = copied(aligned, tmp_path / "run")
    for phase in ("draft", "accept"):
        done = train(pair, phase, run)
        assert done.returncode == 0, done.stderr
    parts = written(pair)
    whole = train(pair, "drafter", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    for name, tensor in written(pair).items():
        assert torch.equal(tensor, parts[name]), name
    assert (tmp_path / "whole" / "losses.png").read_bytes().startswith(b"\x89PNG")

    done = train(pair, "joint", run, "--align-weight", "0.5")
    assert done.returncode == 0, done.stderr
    assert len(losses(run, "joint")) == 8
    # This target says a single token over and over, so there is nothing for the head to learn.
    for name in ("encoder.patches.weight", "alignment.net.0.weight", "predictor.net.0.weight"):
        assert not torch.equal(written(pair)[name], parts[name]), name


def test_two_processes_train_as_one(pair: TinyPair, aligned: Path, tmp_path: Path) -> None:
    """The same global batch, shared out: the same loss at every step."""
    alone, together = copied(aligned, tmp_path / "1"), copied(aligned, tmp_path / "2")
    for run, launch in ((alone, ()), (together, LAUNCH)):
        done = train(pair, "draft", run, launch=launch)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == str(run / "draft.safetensors")
    assert losses(together, "draft") == pytest.approx(losses(alone, "draft"), rel=5e-3)


def waiting(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> Iterator[None]:
    until = time.monotonic() + 300
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < until
        yield
        time.sleep(0.05)


def test_a_killed_run_resumes_with_the_same_data(
    pair: TinyPair, aligned: Path, tmp_path: Path
) -> None:
    run, whole = copied(aligned, tmp_path / "killed"), copied(aligned, tmp_path / "whole")
    options: list[str | Path] = [
        "train",
        "draft",
        "--recipe",
        pair.recipe,
        "-o",
        run,
        "--save-every",
        "0",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "xsd_edge", *options],
        env=environment(pair),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    log = run / "draft.jsonl"
    for _ in waiting(lambda: log.exists() and log.read_text().count("\n") >= 3, process):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert load_file(run / "draft.safetensors")  # whole, though the run is not
    done = train(pair, "draft", run, "--resume")
    assert done.returncode == 0, done.stderr
    assert train(pair, "draft", whole).returncode == 0
    assert losses(run, "draft") == pytest.approx(losses(whole, "draft"), rel=1e-5)


def test_videos_and_folders_of_ones_own(pair: TinyPair, tmp_path: Path) -> None:
    from tests.training.test_dsec import START, events, write
    from tests.training.test_paired import write_video

    pytest.importorskip("hdf5plugin", reason='h5py is missing (pip install "xsd-edge[h5]")')
    video = write_video(tmp_path / "moves.mp4")
    write(tmp_path / "drive", events(), [START + 50_000 * i for i in range(7)])
    options = ("--from-video", str(video), "--from-folder", str(tmp_path / "drive"))
    both = train(
        pair, "align", tmp_path / "run", *options, "--window-ms", "100", "--loss", "mse+infonce"
    )
    assert both.returncode == 0, both.stderr
    assert len(losses(tmp_path / "run", "align")) == 4
    before = (tmp_path / "run" / "align.safetensors").read_bytes()
    wrong = train(pair, "align", tmp_path / "run", "--from-folder", str(tmp_path))
    assert wrong.returncode == 6
    assert "is not DSEC-shaped" in wrong.stderr
    assert len(wrong.stderr.splitlines()) == 1
    assert (tmp_path / "run" / "align.safetensors").read_bytes() == before


def test_what_comes_first_is_said(pair: TinyPair, aligned: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "distilled.npz").write_bytes((aligned / "distilled.npz").read_bytes())
    done = train(pair, "draft", run)
    assert done.returncode == 6
    assert "train it first: xsd-edge train align" in done.stderr
    done = train(pair, "draft", run, "--loss", "l2")
    assert done.returncode == 2
    assert "--loss must be kl+tv or kl or tv or ce" in done.stderr


def test_a_target_and_its_lessons_one_after_another(tmp_path: Path) -> None:
    """Each sets out from what the one before has written, and writes it anew."""
    pair = write_pair(tmp_path)
    recipe = Recipe.load(pair.recipe)
    few = {f.name: 2 for f in fields(recipe.target_training) if f.name.endswith("_steps")}
    short = replace(recipe.target_training, tower_batch=2, projector_batch=2, **few)
    write_recipe(replace(recipe, target_training=short), pair.recipe)
    weights = recipe.folder / recipe.target.trained
    before = load_file(weights)
    for lesson, phases in (
        ("target", ("tower", "projector", "language")),
        ("places", ("patch-places", "places")),
        ("things", ("patch-things", "things")),
    ):
        done = train(pair, lesson, tmp_path / "run")
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == str(weights)
        for phase in phases:
            assert len(losses(tmp_path / "run", phase)) == 2
        learnt = load_file(weights)
        assert learnt.keys() == before.keys()
        moved = [(learnt[name].float() - was.float()).abs().max() for name, was in before.items()]
        assert max(moved) > 0
        if lesson != "target":  # a few steps behind the last, not from new random numbers
            assert max(moved) < 0.05
        before = learnt


def test_a_checkpoint_of_the_real_shapes(tmp_path: Path) -> None:
    """A random Video-LLaVA of 32064 tokens, two layers and width 512, as published: the same
    commands.
    """
    shapes: dict[str, dict[str, int]] = {
        "language": {
            "vocabulary": 32064,
            "words": 32000,
            "hidden": 512,
            "intermediate": 1024,
            "layers": 2,
            "heads": 8,
            "context": 2560,
        },
        "vision": {**SHAPES["vision"], "image_size": 224},
    }
    write_published(tmp_path / "published", shapes)
    recipe = written_checkpoint(tmp_path, shapes)
    pair = TinyPair(tmp_path / f"{recipe.name}.toml", tmp_path / "cache")
    for phase in ("align", "draft", "accept"):
        done = train(pair, phase, tmp_path / "run")
        assert done.returncode == 0, done.stderr
    tensors = load_file(tmp_path / recipe.drafter.trained)
    assert tensors["alignment.net.2.weight"].shape[0] == 512
    assert all(torch.isfinite(tensor.float()).all() for tensor in tensors.values())
