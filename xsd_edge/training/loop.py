"""One training phase: optimizer, one-cycle schedule, metrics file, atomic checkpoints, resume."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xsd_edge.errors import TrainingError
from xsd_edge.training.losses import Mean
from xsd_edge.training.workers import Alone, Workers, share, sum_gradients

B = TypeVar("B")
# One number, or terms that are means over rows: only the latter can be shared out among workers.
Loss: TypeAlias = "Tensor | Sequence[Mean]"
ALONE = Alone()
WARM_UP = 0.05  # share of a phase's steps


def save_atomically(
    tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write safetensors, whole or not at all."""
    with whole(path) as partial:
        save_file({k: v.contiguous() for k, v in tensors.items()}, str(partial), metadata)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write a file that is then renamed to `path`: a reader sees the old one or the new.

    Raises:
        TrainingError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:  # safetensors hides the system's own error
        partial.unlink(missing_ok=True)
        raise unwritable(path, error) from error


def unwritable(path: Path, error: Exception) -> TrainingError:
    """What to say when a file of a run cannot be written; what was there before still is."""
    reason = getattr(error, "strerror", None) or error
    return TrainingError(f"cannot write {path}: {reason}; free some space, then use --resume")


class Kept(NamedTuple):
    """A checkpoint as read."""

    step: int
    steps: int
    tensors: dict[str, Tensor]


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
    workers: Workers = ALONE

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.name}.safetensors"

    @property
    def log(self) -> Path:
        """One JSON line a step."""
        return self.folder / f"{self.name}.jsonl"

    def run(
        self,
        groups: list[dict[str, Any]],
        steps: int,
        batches: Iterator[B],
        loss_of: Callable[[B], tuple[Loss, dict[str, float]]],
        state: dict[str, nn.Module] | None = None,
    ) -> None:
        """Minimise `loss_of` over `steps` batches; the learning rates of `groups` are the cycle's
        peaks.

        Raises:
            TrainingError: nothing can be written, a checkpoint does not fit, or the loss is not a
            number any more.
        """
        modules = self.modules | (state or {})
        groups = [{**g, "params": list(g["params"])} for g in groups]
        optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
        peaks = [g["lr"] for g in groups]
        # Where the warm-up would be exactly one step long, OneCycleLR divides by zero.
        warm_up = WARM_UP if WARM_UP * steps != 1 else 2 * WARM_UP
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, steps, pct_start=warm_up)
        parameters = [p for g in groups for p in g["params"]]
        first = self._restore(modules, optimizer, schedule) if self.resume else 0
        for _ in range(first):
            next(batches)  # the data order goes on where it stopped
        saved = started = time.monotonic()
        with self._open_log(first) as lines:
            for step in range(first, steps):
                optimizer.zero_grad(set_to_none=True)
                values = self._backward(next(batches), loss_of, parameters)
                nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                schedule.step()
                values["seconds"] = time.monotonic() - started
                self._write(lines, step, values)
                if not self.workers.rank:
                    self.report(self.name, step + 1, steps, values)
                if time.monotonic() - saved > self.save_every_s:
                    self._save(modules, optimizer, step + 1, steps)
                    saved = time.monotonic()
        self._save(modules, optimizer, steps, steps)

    def _backward(
        self,
        batch: B,
        loss_of: Callable[[B], tuple[Loss, dict[str, float]]],
        parameters: list[Tensor],
    ) -> dict[str, float]:
        """Leave the gradients of the whole batch's loss; returns it and what else was measured."""
        workers = self.workers
        if workers.count == 1 and workers.device.type == "cpu":
            found, values = loss_of(batch)
            loss = found if isinstance(found, Tensor) else _total(found)
            loss.backward()
            return {"loss": loss.item(), **values}
        found, values = loss_of(share(batch, workers))
        if isinstance(found, Tensor):
            raise TrainingError(f"{self.name} trains in one process; start it without accelerate")
        rows = workers.sum(torch.tensor([float(m.rows.numel()) for m in found]).to(workers.device))
        loss = sum(
            (m.weight * m.rows.sum() / n.clamp(min=1) for m, n in zip(found, rows, strict=True)),
            start=torch.zeros((), device=workers.device),
        )
        loss.backward()
        sum_gradients(parameters, workers)
        told = torch.tensor([loss.item() * workers.count, *values.values()], device=workers.device)
        means = (workers.sum(told) / workers.count).tolist()
        return dict(zip(("loss", *values), means, strict=True))

    def _open_log(self, first: int) -> FileIO:
        """The log without the steps that a killed run had logged but not saved.

        Unbuffered: on a full disk closing would else fail once more, and hide why.
        """
        if self.workers.rank:
            return FileIO(os.devnull, "w")  # the first worker writes for all
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            kept: list[bytes] = []
            if first and self.log.is_file():
                kept = self.log.read_bytes().splitlines(keepends=True)[:first]
            lines = FileIO(self.log, "w")
            lines.write(b"".join(kept))
        except OSError as error:
            raise unwritable(self.log, error) from error
        return lines

    def _write(self, lines: FileIO, step: int, values: dict[str, float]) -> None:
        if values["loss"] != values["loss"]:
            raise TrainingError(
                f"{self.name}: the loss is not a number at step {step}; lower the rate, then use "
                "--resume: the last checkpoint is whole"
            )
        try:
            lines.write(json.dumps({"step": step, **values}).encode() + b"\n")
        except OSError as error:
            raise unwritable(self.log, error) from error

    def finished(self, steps: int) -> bool:
        """Is there a checkpoint of a run of so many steps, and the last of them?

        Raises:
            TrainingError: what is there is no checkpoint.
        """
        if not self.checkpoint.is_file():
            return False
        kept = self._read()
        return kept.step == kept.steps == steps

    def load(self) -> None:
        """Fill the modules from the phase's finished checkpoint.

        Raises:
            TrainingError: there is none, it is not finished, or it does not fit.
        """
        if not self.checkpoint.is_file():
            raise TrainingError(
                f"{self.checkpoint} does not exist; train it first: xsd-edge train {self.name}"
            )
        kept = self._read()
        if kept.step < kept.steps:
            raise TrainingError(
                f"{self.checkpoint} stopped at step {kept.step} of {kept.steps}; finish it first: "
                f"xsd-edge train {self.name} --resume"
            )
        self._fill(self.modules, kept.tensors)

    def _save(
        self,
        modules: dict[str, nn.Module],
        optimizer: torch.optim.Optimizer,
        step: int,
        steps: int,
    ) -> None:
        if self.workers.rank:
            return
        tensors = {
            f"module.{name}.{key}": value
            for name, module in modules.items()
            for key, value in module.named_parameters()
            if value.requires_grad
        }
        for index, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{key}": value for key, value in slots.items()}
        detached = {k: v.detach() for k, v in tensors.items()}
        about = {"step": str(step), "steps": str(steps)}
        save_atomically(detached, self.checkpoint, about)

    def _restore(
        self,
        modules: dict[str, nn.Module],
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
    ) -> int:
        """Load the newest checkpoint, if there is one; returns the step to go on from."""
        if not self.checkpoint.exists():
            return 0
        step, _, tensors = self._read()
        self._fill(modules, tensors)
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

    def _read(self) -> Kept:
        try:
            with safe_open(str(self.checkpoint), "pt") as archive:
                about = archive.metadata() or {}
            step = int(about["step"])
            return Kept(step, int(about.get("steps", step)), load_file(str(self.checkpoint)))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise TrainingError(
                f"{self.checkpoint} is no checkpoint of a run ({error}); "
                "delete it, or train without --resume"
            ) from error

    def _fill(self, modules: dict[str, nn.Module], tensors: dict[str, Tensor]) -> None:
        for name, module in modules.items():
            for key, parameter in module.named_parameters():
                if parameter.requires_grad:
                    kept = tensors.get(f"module.{name}.{key}")
                    if kept is None or kept.shape != parameter.shape:
                        found = "lacks it" if kept is None else f"has it as {tuple(kept.shape)}"
                        raise TrainingError(
                            f"{self.checkpoint} is of another recipe: {key} should be "
                            f"{tuple(parameter.shape)}, it {found}; give another -o, or train "
                            "without --resume"
                        )
                    with torch.no_grad():
                        parameter.copy_(kept)


def _total(terms: Sequence[Mean]) -> Tensor:
    loss = torch.zeros(())
    for term in terms:
        loss = loss + term.value
    return loss
