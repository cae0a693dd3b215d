"""Two processes that Accelerate launches take the steps that one takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import ROOT

pytestmark = [pytest.mark.host, pytest.mark.slow]

SCRIPT = """
import sys
from pathlib import Path
from torch import nn
from tests.training.test_loop import Rows, batches, model
from xsd_edge.training.loop import ALONE, Phase
from xsd_edge.training.losses import Mean
from xsd_edge.training.workers import Launched

workers = Launched() if sys.argv[2] == "launched" else ALONE
net = model()

def loss_of(batch: Rows):
    error = (net(batch.x) - batch.y).square()
    uneven = error[batch.x[:, 0] > 0]  # the workers' shares have different numbers of rows
    return [Mean(error, 0.5), Mean(uneven)], {"rows": float(len(batch.x))}

phase = Phase("fit", Path(sys.argv[1]), {"net": net}, workers=workers)
phase.run([{"params": net.parameters(), "lr": 0.02}], 20, batches(), loss_of)
assert not workers.rank or not list(Path(sys.argv[1]).glob("*.partial"))
"""
LAUNCH = (
    "-m accelerate.commands.launch --cpu --num_processes 2 --num_machines 1 "
    "--mixed_precision no --dynamo_backend no"
)


def test_the_loss_curve_of_two_is_that_of_one(tmp_path: Path) -> None:
    script = tmp_path / "fit.py"
    script.write_text(SCRIPT)
    curves, nets = [], []
    for how, launch in (("alone", []), ("launched", LAUNCH.split())):
        folder = tmp_path / how
        subprocess.run(
            [sys.executable, *launch, script, folder, how],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            check=True,
            timeout=300,
        )
        lines = [json.loads(line) for line in (folder / "fit.jsonl").read_text().splitlines()]
        curves.append([line["loss"] for line in lines])
        nets.append(load_file(folder / "fit.safetensors"))
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
    assert curves[0][-1] < curves[0][0]
    for name, tensor in nets[0].items():
        torch.testing.assert_close(nets[1][name], tensor, rtol=1e-3, atol=1e-5)
