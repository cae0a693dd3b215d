"""ONNX Runtime behind the engine contract; the only module that imports it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

from xsd_edge.errors import BundleError
from xsd_edge.runtime.engine import DEFAULT_OPTIONS, Array, Arrays, EngineOptions


class OnnxEngine:
    """One session with I/O binding: nothing is copied in or out, caches stay where they are."""

    def __init__(self, path: Path, options: EngineOptions = DEFAULT_OPTIONS) -> None:
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.log_severity_level = 3
        settings.add_session_config_entry(
            "session.intra_op.allow_spinning", "1" if options.spinning else "0"
        )
        try:
            self._session = ort.InferenceSession(
                str(path), settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ORT's own exception types are not public
            raise BundleError(f"ONNX Runtime cannot load {path}: {error}") from error
        self._binding = self._session.io_binding()
        self._held: list[Array] = []

    def hold(self, pairs: Mapping[str, str], shape: tuple[int, ...], dtype: str) -> None:
        for source, result in pairs.items():
            buffer = np.zeros(shape, dtype)
            self._held.append(buffer)
            where = ("cpu", 0, buffer.dtype, shape, buffer.ctypes.data)
            self._binding.bind_input(source, *where)
            self._binding.bind_output(result, *where)

    def run(self, feeds: Arrays, results: Arrays) -> None:
        bind_input, bind_output = self._binding.bind_input, self._binding.bind_output
        for name, array in feeds.items():
            bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        for name, array in results.items():
            bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        self._session.run_with_iobinding(self._binding)

    def close(self) -> None:
        del self._binding, self._session
        self._held.clear()
