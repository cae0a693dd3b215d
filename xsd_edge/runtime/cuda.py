"""CUDA through NVIDIA's own bindings; the only module that imports them.

Runtime calls answer with (error, values...); `Cuda` turns an error into a DeviceError that names
the call. Memory of one tensor, a stream and a captured graph are what the engine needs of it.
"""

from __future__ import annotations

import ctypes
import importlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import DeviceError, ExtraMissingError


class Gpu(NamedTuple):
    """The first GPU, as the driver describes it."""

    name: str
    capability: str  # "8.7"
    sms: int  # that the power mode leaves on
    integrated: bool  # shares its memory with the CPU


class Cuda:
    """The runtime API with errors raised.

    Raises:
        ExtraMissingError: cuda-bindings is not installed.
    """

    def __init__(self) -> None:
        try:
            self._api: Any = importlib.import_module("cuda.bindings.runtime")
        except ModuleNotFoundError as error:
            raise ExtraMissingError("running TensorRT engines", "tensorrt") from error

    def call(self, name: str, *arguments: object) -> Any:
        """One runtime call: its value, or None where it has none.

        Raises:
            DeviceError: the call failed.
        """
        try:
            status, *values = getattr(self._api, name)(*arguments)
        except RuntimeError as error:  # the bindings found no CUDA library to load
            raise DeviceError(f"{name} failed: {error}; see: xsd-edge doctor") from error
        if status != self._api.cudaError_t.cudaSuccess:
            text = self._api.cudaGetErrorString(status)[1].decode()
            raise DeviceError(f"{name} failed: {text}; see: xsd-edge doctor")
        return values[0] if values else None

    def constant(self, kind: str, name: str) -> Any:
        """A member of one of the API's enumerations."""
        return getattr(getattr(self._api, kind), name)

    def flag(self, name: str) -> int:
        """One of the API's plain numbers."""
        return int(getattr(self._api, name))

    def gpu(self) -> Gpu:
        """Raises DeviceError where no GPU answers."""
        self.call("cudaGetDeviceCount")

        def attribute(name: str) -> int:
            return int(
                self.call(
                    "cudaDeviceGetAttribute",
                    self.constant("cudaDeviceAttr", f"cudaDevAttr{name}"),
                    0,
                )
            )

        name = self.call("cudaGetDeviceProperties", 0).name
        major, minor = (attribute(f"ComputeCapability{half}") for half in ("Major", "Minor"))
        return Gpu(
            name.decode() if isinstance(name, bytes) else str(name),
            f"{major}.{minor}",
            attribute("MultiProcessorCount"),
            attribute("Integrated") == 1,
        )

    def stream(self) -> Any:
        """A stream that does not wait for the default one; int() gives its handle."""
        return self.call("cudaStreamCreateWithFlags", self.flag("cudaStreamNonBlocking"))

    def capture(self, stream: Any, work: Callable[[], None]) -> Any:
        """An executable graph of what `work` puts on the stream. Nothing runs yet."""
        mode = self.constant("cudaStreamCaptureMode", "cudaStreamCaptureModeThreadLocal")
        self.call("cudaStreamBeginCapture", stream, mode)
        try:
            work()
        except BaseException:
            self._api.cudaStreamEndCapture(stream)  # the first error is the one to tell
            raise
        graph = self.call("cudaStreamEndCapture", stream)
        try:
            return self.call("cudaGraphInstantiate", graph, 0)
        finally:
            self.call("cudaGraphDestroy", graph)


class Memory:
    """Bytes that the CPU sees in `view` and the GPU at `address`.

    On an integrated GPU both are the same page-locked bytes, which it reads and writes in place
    (Orin is I/O coherent), so nothing is copied. Otherwise a page-locked copy is moved by `upload`
    and `download`.
    """

    def __init__(self, cuda: Cuda, size: int, mapped: bool) -> None:
        self._cuda, self.mapped = cuda, mapped
        self.size = max(size, 1)  # an empty tensor needs an address too
        flag = cuda.flag("cudaHostAllocMapped" if mapped else "cudaHostAllocDefault")
        self._pinned = int(cuda.call("cudaHostAlloc", self.size, flag))
        self.address = 0
        try:
            if mapped:
                self.address = int(cuda.call("cudaHostGetDevicePointer", self._pinned, 0))
            else:
                self.address = int(cuda.call("cudaMalloc", self.size))
        except DeviceError:
            self.free()
            raise
        raw = (ctypes.c_ubyte * self.size).from_address(self._pinned)
        self._bytes: NDArray[np.uint8] = np.ctypeslib.as_array(raw)
        self._bytes[...] = 0

    def view(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """The first bytes as an array."""
        used = math.prod(shape) * dtype.itemsize
        seen: NDArray[Any] = self._bytes[:used].view(dtype).reshape(shape)
        return seen

    def upload(self, stream: Any) -> None:
        self._move("cudaMemcpyHostToDevice", self.address, self._pinned, stream)

    def download(self, stream: Any) -> None:
        self._move("cudaMemcpyDeviceToHost", self._pinned, self.address, stream)

    def _move(self, direction: str, target: int, source: int, stream: Any) -> None:
        if not self.mapped:
            kind = self._cuda.constant("cudaMemcpyKind", direction)
            self._cuda.call("cudaMemcpyAsync", target, source, self.size, kind, stream)

    def free(self) -> None:
        """Give it back; no view of it may be touched again."""
        if self._pinned:
            if not self.mapped and self.address:
                self._cuda.call("cudaFree", self.address)
            self._cuda.call("cudaFreeHost", self._pinned)
            self._pinned = 0
