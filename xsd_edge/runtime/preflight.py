"""Does a bundle fit into the memory that is free? Asked before anything is loaded.

On a Jetson the GPU's memory is the machine's, and running out of it can hang the whole board.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xsd_edge.bundle import Bundle, Manifest, Part
from xsd_edge.errors import DeviceError
from xsd_edge.machine import Machine
from xsd_edge.runtime.decoder import EXACT_ROWS, LOGIT_ROWS, PASS_ROWS

RING = 32 << 20  # the driver's buffer of a USB camera, as we open it
# Events of the clips that wait: 16 bytes each, two clips of 8 slices at 4 million a second.
QUEUE = 128 << 20
# The process without a bundle: 50 MB were measured with ONNX Runtime on x86. A CUDA context with
# its libraries is a planning figure, not measured.
PROCESS, CUDA_CONTEXT = 64 << 20, 800 << 20
SYSTEM = (
    1536 << 20
)  # what Linux keeps at least: an Orin Nano never has more than 5.2 of 7.4 GB free
GIB = 1 << 30


class Need(NamedTuple):
    """Bytes that a run will take, by what for."""

    weights: int
    cache: int
    workspace: int
    camera: int
    process: int

    @property
    def total(self) -> int:
        return sum(self)

    def __str__(self) -> str:
        each = ", ".join(f"{n} {v / GIB:.2f}" for n, v in zip(self._fields, self, strict=True))
        return f"{self.total / GIB:.2f} GiB ({each})"


def memory_need(manifest: Manifest) -> Need:
    """What a bundle takes, from the sizes in its manifest.

    Weights are the graphs' files; the embedding is mapped and can be dropped from memory. The cache
    is 2 x layers x heads x width x context. The workspace is the decoder's own buffers and the
    largest intermediate results of a pass of 512 rows: attention scores over the whole context, and
    an MLP four times as wide as the model, both in float32.
    """
    target = manifest.target
    wide = target.hidden * PASS_ROWS * 4
    heads = target.hidden // target.head_width
    scores = heads * PASS_ROWS * target.context * 4
    buffers = 2 * wide + LOGIT_ROWS * target.vocabulary * 4
    on_gpu = any(part.backend != "cpu" for part in manifest.parts.values())
    one_row = 2 * target.layers * target.kv_heads * target.head_width
    return Need(
        weights=sum(_file_bytes(part) for part in manifest.parts.values()),
        cache=one_row * (target.context + EXACT_ROWS) * np.dtype(target.cache_dtype).itemsize,
        workspace=buffers + scores + 2 * 4 * wide,
        camera=RING + QUEUE,
        process=PROCESS + (CUDA_CONTEXT if on_gpu else 0),
    )


def _file_bytes(part: Part) -> int:
    return part.files[part.default].size + sum(file.size for file in part.attachments)


def require_memory(bundle: Bundle, machine: Machine) -> None:
    """Refuse a bundle that does not fit.

    Raises:
        DeviceError: with what is needed, what is free, and what to change.
    """
    memory = machine.memory
    need = memory_need(bundle.manifest)
    if memory is None or need.total <= memory.available:
        return
    free, total = memory.available / GIB, memory.total / GIB
    if need.total > memory.total - SYSTEM:
        mend = "use a board with more memory, or export a smaller target or a shorter context"
    else:
        mend = "end other programs (on Jetson: sudo systemctl isolate multi-user.target)"
    raise DeviceError(
        f"{bundle.folder} needs {need}, but {free:.2f} of {total:.2f} GiB are free; {mend}; "
        "--force runs it all the same"
    )
