"""A TensorRT plan behind the engine contract: own stream, fixed addresses, one CUDA graph.

Never run on a board yet: the order of calls, addresses and errors are tested against a fake of
both libraries (tests/fakes).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xsd_edge.errors import BundleError, DeviceError
from xsd_edge.runtime import tensorrt_api
from xsd_edge.runtime.cuda import Cuda, Memory
from xsd_edge.runtime.engine import Array, Arrays

REBUILD = "build the engines again with: xsd-edge build"


class TensorRtEngine:
    """One engine with fixed shapes: one execution context, one stream, one graph.

    `arrays` are the engine's own inputs and outputs: what is written there, or read from there,
    is not copied on an integrated GPU.

    Raises:
        DeviceError: no GPU answers, or it has no memory left.
        BundleError: the plan is not for this TensorRT or GPU.
    """

    def __init__(self, plan: Path) -> None:
        self._api = tensorrt_api.load()
        self._cuda = Cuda()
        self._memory: dict[str, Memory] = {}
        self.arrays: dict[str, Array] = {}
        self._stream: Any = None
        self._graph: Any = None
        self._log = tensorrt_api.log(self._api)
        try:
            mapped = self._cuda.gpu().integrated
            self._stream = self._cuda.stream()
            self._load(plan)
            self._place(mapped)
            self._enqueue()  # TensorRT initialises lazily, which a capture would not allow
            self._wait()
            self._graph = self._cuda.capture(self._stream, self._enqueue)
        except BaseException:
            self.close()
            raise

    def _load(self, plan: Path) -> None:
        # The runtime must outlive its engines, the engine its contexts.
        self._runtime = self._api.Runtime(self._log.logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan.read_bytes())
        if self._engine is None:
            why = self._log.last("another TensorRT or another GPU made it")
            raise BundleError(f"{plan} does not load ({why}); {REBUILD}")
        self._context = self._engine.create_execution_context()
        if self._context is None:
            why = self._log.last("no memory for its activations")
            raise DeviceError(f"{plan} cannot run ({why}); free memory, see: xsd-edge doctor")
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        is_input = self._api.TensorIOMode.INPUT
        self._inputs = [n for n in names if self._engine.get_tensor_mode(n) == is_input]
        self._outputs = [n for n in names if n not in self._inputs]
        self._types = {
            n: np.dtype(self._api.nptype(self._engine.get_tensor_dtype(n))) for n in names
        }

    def _place(self, mapped: bool) -> None:
        """Memory for every tensor, at addresses that never change: the graph remembers them."""
        for name in (*self._inputs, *self._outputs):
            shape, dtype = tuple(self._engine.get_tensor_shape(name)), self._types[name]
            if -1 in shape:
                raise BundleError(f"the shape of {name} varies; export with fixed axes, then build")
            memory = Memory(self._cuda, math.prod(shape) * dtype.itemsize, mapped)
            self._memory[name] = memory
            if not self._context.set_tensor_address(name, memory.address):
                raise BundleError(f"TensorRT refuses an address for {name}; {REBUILD}")
            self.arrays[name] = memory.view(shape, dtype)

    def hold(self, pairs: Mapping[str, str], shape: tuple[int, ...], dtype: str) -> None:
        raise BundleError(
            f"{', '.join(pairs)}: TensorRT cannot write a cache in place; run this part in "
            "ONNX Runtime"
        )

    def run(self, feeds: Arrays, results: Arrays) -> None:
        self._require(feeds)
        for name, array in feeds.items():
            own = self.arrays[name]
            if array.ctypes.data != own.ctypes.data:
                np.copyto(own, array, casting="same_kind")
        self._cuda.call("cudaGraphLaunch", self._graph, self._stream)
        self._wait()
        for name, array in results.items():
            own = self.arrays[name]
            if array.ctypes.data != own.ctypes.data:
                np.copyto(array, own, casting="same_kind")

    def _require(self, feeds: Arrays) -> None:
        """Copying would broadcast a wrong shape, and a missing input would keep its last value."""
        if feeds.keys() != set(self._inputs):
            raise BundleError(f"the engine reads {', '.join(self._inputs)}; {REBUILD}")
        for name, array in feeds.items():
            if array.shape != self.arrays[name].shape:
                raise BundleError(
                    f"{name} has shape {array.shape}, the engine wants "
                    f"{self.arrays[name].shape}; {REBUILD}"
                )

    def _enqueue(self) -> None:
        for name in self._inputs:
            self._memory[name].upload(self._stream)
        if not self._context.execute_async_v3(stream_handle=int(self._stream)):
            raise DeviceError(f"TensorRT failed ({self._log.last('no reason given')}); {REBUILD}")
        for name in self._outputs:
            self._memory[name].download(self._stream)

    def _wait(self) -> None:
        self._cuda.call("cudaStreamSynchronize", self._stream)

    def close(self) -> None:
        self.arrays = {}
        if self._graph is not None:
            self._cuda.call("cudaGraphExecDestroy", self._graph)
            self._graph = None
        for memory in self._memory.values():
            memory.free()
        self._memory = {}
        if self._stream is not None:
            self._cuda.call("cudaStreamDestroy", self._stream)
            self._stream = None
        self._context = self._engine = self._runtime = None
