"""A stand-in for cuda.bindings.runtime: memory is real, a stream is a list of work that only runs
when somebody waits for it, and every misuse is an assertion.
"""

from __future__ import annotations

import ctypes
import enum
import os
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

cudaHostAllocDefault = 0
cudaHostAllocMapped = 2
cudaStreamNonBlocking = 1
DEVICE_BIT = 1 << 60  # so that a host pointer given to the GPU is seen at once

Work = Callable[[], None]


class cudaError_t(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35


class cudaDeviceAttr(enum.IntEnum):
    cudaDevAttrMultiProcessorCount = 16
    cudaDevAttrIntegrated = 18
    cudaDevAttrComputeCapabilityMajor = 75
    cudaDevAttrComputeCapabilityMinor = 76


class cudaMemcpyKind(enum.IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class cudaStreamCaptureMode(enum.IntEnum):
    cudaStreamCaptureModeThreadLocal = 1


class Board:
    """The GPU that is pretended, and what was done with it."""

    def __init__(self) -> None:
        self.present = "FAKE_NO_GPU" not in os.environ
        self.integrated, self.sms = True, int(os.environ.get("FAKE_SMS", "8"))
        self.limit: int | None = None  # bytes that may be allocated
        self.pinned: dict[int, Any] = {}
        self.device: dict[int, Any] = {}
        self.streams: dict[int, Stream] = {}
        self.graphs = 0  # executable ones alive
        self.log: list[str] = []

    @property
    def leaks(self) -> int:
        return len(self.pinned) + len(self.device) + len(self.streams) + self.graphs


class Stream:
    def __init__(self) -> None:
        self.waiting: list[Work] = []
        self.recorded: list[Work] | None = None

    def __int__(self) -> int:
        return id(self)


class Graph:
    def __init__(self, work: list[Work]) -> None:
        self.work = work


board = Board()
Status = tuple[Any, ...]
OK = cudaError_t.cudaSuccess


def submit(handle: int, work: Work, sleep: float = 0.0) -> None:
    """What TensorRT puts on a stream."""

    def slowly() -> None:
        time.sleep(sleep)
        work()

    _put(board.streams[handle], slowly if sleep else work, "execute")


def _put(stream: Stream, work: Work, name: str) -> None:
    capturing = stream.recorded is not None
    board.log.append(f"{name} captured" if capturing else name)
    (stream.waiting if stream.recorded is None else stream.recorded).append(work)


def is_device_address(address: int) -> bool:
    return bool(address & DEVICE_BIT)


def at(address: int, shape: tuple[int, ...], kind: str) -> NDArray[Any]:
    """The GPU's view of an address."""
    assert is_device_address(address)
    dtype = np.dtype(kind)
    size = int(np.prod(shape)) * dtype.itemsize
    raw = (ctypes.c_ubyte * size).from_address(address & ~DEVICE_BIT)
    seen: NDArray[Any] = np.ctypeslib.as_array(raw).view(dtype).reshape(shape)
    return seen


def _allocate(size: int, into: dict[int, Any]) -> int | None:
    used = sum(map(ctypes.sizeof, (*board.pinned.values(), *board.device.values())))
    if board.limit is not None and used + size > board.limit:
        return None
    memory = (ctypes.c_ubyte * (size + 256))()
    address = (ctypes.addressof(memory) + 255) & ~255  # CUDA aligns
    into[address] = memory
    return address


def cudaGetDeviceCount() -> Status:
    return (OK, 1) if board.present else (cudaError_t.cudaErrorInsufficientDriver, None)


def cudaGetErrorString(error: cudaError_t) -> Status:
    texts = {2: b"out of memory", 35: b"CUDA driver version is insufficient"}
    return OK, texts.get(int(error), b"unknown error")


def cudaGetDeviceProperties(device: int) -> Status:
    return OK, SimpleNamespace(name=b"Orin")


def cudaDeviceGetAttribute(attribute: cudaDeviceAttr, device: int) -> Status:
    major, minor = 8, 7
    values = {16: board.sms, 18: int(board.integrated), 75: major, 76: minor}
    return OK, values[int(attribute)]


def cudaStreamCreateWithFlags(flags: int) -> Status:
    assert flags == cudaStreamNonBlocking
    stream = Stream()
    board.streams[int(stream)] = stream
    return OK, stream


def cudaStreamDestroy(stream: Stream) -> Status:
    assert not stream.waiting, "destroyed with work on it"
    del board.streams[int(stream)]
    return (OK,)


def cudaStreamSynchronize(stream: Stream) -> Status:
    assert stream.recorded is None, "waited for a stream that records"
    board.log.append("wait")
    work, stream.waiting = stream.waiting, []
    for each in work:
        each()
    return (OK,)


def cudaStreamBeginCapture(stream: Stream, mode: cudaStreamCaptureMode) -> Status:
    assert isinstance(mode, cudaStreamCaptureMode)
    assert stream.recorded is None
    stream.recorded = []
    return (OK,)


def cudaStreamEndCapture(stream: Stream) -> Status:
    assert stream.recorded is not None
    graph, stream.recorded = Graph(stream.recorded), None
    return OK, graph


def cudaGraphInstantiate(graph: Graph, flags: int) -> Status:
    assert flags == 0
    board.graphs += 1
    return OK, Graph(list(graph.work))


def cudaGraphDestroy(graph: Graph) -> Status:
    graph.work = []
    return (OK,)


def cudaGraphExecDestroy(graph: Graph) -> Status:
    board.graphs -= 1
    return (OK,)


def cudaGraphLaunch(graph: Graph, stream: Stream) -> Status:
    board.log.append("launch")
    stream.waiting.extend(graph.work)
    return (OK,)


def cudaHostAlloc(size: int, flags: int) -> Status:
    address = _allocate(size, board.pinned)
    if address is None:
        return cudaError_t.cudaErrorMemoryAllocation, None
    board.log.append("mapped" if flags & cudaHostAllocMapped else "pinned")
    return OK, address


def cudaHostGetDevicePointer(address: int, flags: int) -> Status:
    assert address in board.pinned
    return OK, address | DEVICE_BIT


def cudaFreeHost(address: int) -> Status:
    del board.pinned[address]
    return (OK,)


def cudaMalloc(size: int) -> Status:
    address = _allocate(size, board.device)
    if address is None:
        return cudaError_t.cudaErrorMemoryAllocation, None
    return OK, address | DEVICE_BIT


def cudaFree(address: int) -> Status:
    del board.device[address & ~DEVICE_BIT]
    return (OK,)


def cudaMemcpyAsync(
    target: int, source: int, size: int, kind: cudaMemcpyKind, stream: Stream
) -> Status:
    up = kind == cudaMemcpyKind.cudaMemcpyHostToDevice
    device, host = (target, source) if up else (source, target)
    assert is_device_address(device)
    assert host in board.pinned, "only page-locked memory moves asynchronously"

    def move() -> None:
        ctypes.memmove(target & ~DEVICE_BIT, source & ~DEVICE_BIT, size)

    _put(stream, move, "upload" if up else "download")
    return (OK,)
