"""Who trains: this process alone, or several that Hugging Face Accelerate launched together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from xsd_edge.errors import ExtraMissingError

B = TypeVar("B")
PATIENCE = timedelta(days=2)  # the others wait that long while the first collects


class Workers(Protocol):
    """The processes that share a batch. Every one of them draws the same batches in the same
    order and computes its own rows of each.
    """

    rank: int
    count: int
    device: torch.device

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all workers, for each of them."""

    def wait(self) -> None:
        """Until all have come here."""


class Alone:
    """One process on the CPU."""

    rank, count, device = 0, 1, torch.device("cpu")

    def sum(self, tensor: Tensor) -> Tensor:
        return tensor

    def wait(self) -> None:
        pass


class Launched:
    """What `accelerate launch` started; one process a device.

    Raises:
        ExtraMissingError: accelerate is not installed.
    """

    def __init__(self) -> None:
        try:
            from accelerate import Accelerator
            from accelerate.utils import InitProcessGroupKwargs
        except ModuleNotFoundError as error:
            raise ExtraMissingError("training with several processes", "export") from error
        patient = InitProcessGroupKwargs(timeout=PATIENCE)
        self._accelerator = Accelerator(kwargs_handlers=[patient])
        self.rank: int = self._accelerator.process_index
        self.count: int = self._accelerator.num_processes
        self.device: torch.device = self._accelerator.device

    def sum(self, tensor: Tensor) -> Tensor:
        return self._accelerator.reduce(tensor, "sum")

    def wait(self) -> None:
        self._accelerator.wait_for_everyone()


def share(batch: B, workers: Workers) -> B:
    """One worker's rows of a batch, on its device: every `count`-th of each tensor."""
    assert is_dataclass(batch)
    parts: dict[str, object] = {}
    for field in fields(batch):
        part = getattr(batch, field.name)
        if isinstance(part, Tensor):
            parts[field.name] = part[workers.rank :: workers.count].to(workers.device)
        else:
            parts[field.name] = share(part, workers)  # batches of batches
    return replace(batch, **parts)  # type: ignore[type-var]  # the dataclass that it is


def sum_gradients(parameters: Sequence[Tensor], workers: Workers) -> None:
    """Add the workers' gradients up; each has divided by the whole batch's row count already."""
    for parameter in parameters:
        grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        parameter.grad = workers.sum(grad)
