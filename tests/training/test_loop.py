"""A phase: its log, its checkpoints, resuming, and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import ROOT
from xsd_edge.errors import TrainingError
from xsd_edge.training.loop import Phase, save_atomically
from xsd_edge.training.losses import Mean
from xsd_edge.training.workers import share

pytestmark = pytest.mark.host


@dataclass(frozen=True, slots=True)
class Rows:
    x: Tensor
    y: Tensor


def batches() -> Iterator[Rows]:
    drawn = torch.Generator().manual_seed(3)
    while True:
        x = torch.randn(8, 4, generator=drawn)
        yield Rows(x, x.sum(1, keepdim=True) + 1)


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def train(phase: Phase, net: nn.Module, steps: int = 30) -> list[float]:
    def loss_of(batch: Rows) -> tuple[list[Mean], dict[str, float]]:
        return [Mean((net(batch.x) - batch.y).square(), 0.5)], {}

    phase.run([{"params": net.parameters(), "lr": 0.02}], steps, batches(), loss_of)
    return [json.loads(line)["loss"] for line in phase.log.read_text().splitlines()]


def test_a_phase_learns_logs_and_keeps_a_finished_checkpoint(tmp_path: Path) -> None:
    net = model()
    losses = train(Phase("fit", tmp_path, {"net": net}), net)
    assert len(losses) == 30
    assert losses[-1] < 0.5 * losses[0]
    other = model()
    Phase("fit", tmp_path, {"net": other}).load()
    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


class Stop(Exception):
    """A power cut."""


@pytest.mark.parametrize("at", [1, 7, 29])
def test_a_cut_run_goes_on_as_if_it_had_not_been(tmp_path: Path, at: int) -> None:
    whole = train(Phase("fit", tmp_path / "whole", {"net": (net := model())}), net)

    def cut(name: str, step: int, steps: int, values: dict[str, float]) -> None:
        if step == at:
            raise Stop

    first = model()
    with pytest.raises(Stop):
        train(Phase("fit", tmp_path / "cut", {"net": first}, True, cut, save_every_s=0), first)
    second = model()
    resumed = train(Phase("fit", tmp_path / "cut", {"net": second}, True), second)
    assert resumed == pytest.approx(whole, rel=1e-6)
    for ours, theirs in zip(net.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_an_unfinished_checkpoint_is_no_base_for_the_next_phase(tmp_path: Path) -> None:
    def cut(name: str, step: int, steps: int, values: dict[str, float]) -> None:
        if step == 9:
            raise Stop

    net = model()
    with pytest.raises(Stop):
        train(Phase("fit", tmp_path, {"net": net}, report=cut, save_every_s=0), net)
    with pytest.raises(TrainingError, match=r"stopped at step 8 of 30.*train fit --resume"):
        Phase("fit", tmp_path, {"net": net}).load()
    with pytest.raises(TrainingError, match=r"train it first: xsd-edge train other"):
        Phase("other", tmp_path, {"net": net}).load()


def test_a_checkpoint_of_another_shape_is_refused_and_kept(tmp_path: Path) -> None:
    net = model()
    train(Phase("fit", tmp_path, {"net": net}), net)
    before = (tmp_path / "fit.safetensors").read_bytes()
    wider = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 1))
    with pytest.raises(TrainingError, match=r"is of another recipe: 0.weight should be \(9, 4\)"):
        train(Phase("fit", tmp_path, {"net": wider}, True), wider)
    assert (tmp_path / "fit.safetensors").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"PK\3\4 not safetensors", b"\xff" * 64])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "fit.safetensors").write_bytes(content)
    net = model()
    with pytest.raises(TrainingError, match="is no checkpoint of a run"):
        train(Phase("fit", tmp_path, {"net": net}, True), net)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    net = model()
    phase = Phase("fit", tmp_path, {"net": net})
    with pytest.raises(TrainingError, match=r"not a number at step 0; lower the rate"):
        phase.run(
            [{"params": net.parameters(), "lr": 0.1}],
            5,
            batches(),
            lambda batch: (net(batch.x).sum() * float("nan"), {}),
        )


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    """The largest file that the process may write stands for the space that is left."""
    path = tmp_path / "kept.safetensors"
    save_atomically({"x": torch.zeros(10)}, path)
    before = path.read_bytes()
    code = (
        "import resource, signal, sys, torch\n"
        "from pathlib import Path\n"
        "from xsd_edge.errors import TrainingError\n"
        "from xsd_edge.training.loop import save_atomically\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    save_atomically({'x': torch.zeros(100_000)}, Path(sys.argv[1]))\n"
        "except TrainingError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "free some space, then use --resume" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


CPU = torch.device("cpu")


@dataclass
class Worker:
    """One of two workers that a test plays in turn; `sum` is given what the other would add."""

    rank: int
    count: int = 2
    device: torch.device = CPU

    def sum(self, tensor: Tensor) -> Tensor:
        return tensor

    def wait(self) -> None:
        pass


def test_shares_are_a_partition_also_of_nested_batches() -> None:
    @dataclass(frozen=True, slots=True)
    class Pair:
        one: Rows
        two: Tensor

    rows = Rows(torch.arange(10.0).reshape(5, 2), torch.arange(5.0))
    whole = Pair(rows, torch.arange(5))
    parts = [share(whole, Worker(rank)) for rank in (0, 1)]
    assert parts[0].two.tolist() == [0, 2, 4]
    assert parts[1].one.y.tolist() == [1, 3]
    together = torch.cat([part.one.x for part in parts])
    assert sorted(together.flatten().tolist()) == rows.x.flatten().tolist()
