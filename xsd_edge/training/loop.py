"""One training phase: optimizer, one-cycle schedule, metrics file, atomic checkpoints, resume."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xsd_edge.errors import TrainingError

B = TypeVar("B")


def save_atomically(
    tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write safetensors beside `path`, then rename: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        save_file({k: v.contiguous() for k, v in tensors.items()}, str(partial), metadata)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise TrainingError(
            f"cannot write checkpoint {path}: {error.strerror}; free some space and use --resume"
        ) from error


@dataclass
class Phase:
    """Where one phase of a run keeps its state; `run` trains and can pick up where it stopped."""

    name: str
    folder: Path
    modules: dict[str, nn.Module]
    resume: bool = False
    report: Callable[[str, int, int, dict[str, float]], None] = field(
        default=lambda name, step, steps, values: None
    )
    save_every_s: float = 120.0

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.name}.safetensors"

    def run(
        self,
        groups: list[dict[str, Any]],
        steps: int,
        batches: Iterator[B],
        loss_of: Callable[[B], tuple[Tensor, dict[str, float]]],
        state: dict[str, nn.Module] | None = None,
    ) -> None:
        """Minimise `loss_of` over `steps` batches; the learning rates of `groups` are the cycle's
        peaks.
        """
        modules = self.modules | (state or {})
        groups = [{**g, "params": list(g["params"])} for g in groups]
        optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
        peaks = [g["lr"] for g in groups]
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, steps, pct_start=0.05)
        parameters = [p for g in groups for p in g["params"]]
        first = self._restore(modules, optimizer, schedule) if self.resume else 0
        for _ in range(first):
            next(batches)  # the data order goes on where it stopped
        log = self.folder / f"{self.name}.jsonl"
        self.folder.mkdir(parents=True, exist_ok=True)
        saved = started = time.monotonic()
        with log.open("a" if first else "w", encoding="utf-8") as lines:
            for step in range(first, steps):
                loss, values = loss_of(next(batches))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                schedule.step()
                values = {"loss": loss.item(), **values, "seconds": time.monotonic() - started}
                lines.write(json.dumps({"step": step, **values}) + "\n")
                lines.flush()
                self.report(self.name, step + 1, steps, values)
                if time.monotonic() - saved > self.save_every_s:
                    self._save(modules, optimizer, step + 1)
                    saved = time.monotonic()
        self._save(modules, optimizer, steps)

    def _save(
        self, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer, step: int
    ) -> None:
        tensors = {
            f"module.{name}.{key}": value
            for name, module in modules.items()
            for key, value in module.named_parameters()
            if value.requires_grad
        }
        for index, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{key}": value for key, value in slots.items()}
        detached = {k: v.detach() for k, v in tensors.items()}
        save_atomically(detached, self.checkpoint, {"step": str(step)})

    def _restore(
        self,
        modules: dict[str, nn.Module],
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
    ) -> int:
        """Load the newest checkpoint, if there is one; returns the step to go on from."""
        if not self.checkpoint.exists():
            return 0
        with safe_open(str(self.checkpoint), "pt") as archive:
            step = int(archive.metadata()["step"])
        tensors = load_file(str(self.checkpoint))
        with torch.no_grad():
            for name, module in modules.items():
                for key, parameter in module.named_parameters():
                    if parameter.requires_grad:
                        parameter.copy_(tensors[f"module.{name}.{key}"])
        state = optimizer.state_dict()
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("adam."):
                _, index, slot = key.split(".")
                slots.setdefault(int(index), {})[slot] = value
        state["state"] = slots
        optimizer.load_state_dict(state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it minds being ahead of the optimizer's own count
            for _ in range(step):
                schedule.step()
        return step
