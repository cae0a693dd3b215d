"""ONNX Runtime behind the engine contract; the only module that imports it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

from xsd_edge.errors import BundleError, DeviceError
from xsd_edge.runtime.engine import DEFAULT_OPTIONS, Array, Arrays, EngineOptions
from xsd_edge.runtime.pages import use_huge_pages

LARGE = 32 << 20  # bytes of weights from which huge pages are worth their while at loading
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class OnnxEngine:
    """One session with I/O binding: nothing is copied in or out, caches stay where they are.

    With `cuda` the network and what it holds live on the GPU; what goes in and out is the CPU's.
    That path has never run on a board.

    Raises:
        BundleError: the graph does not load.
        DeviceError: CUDA is asked for, and this ONNX Runtime cannot use it here.
    """

    def __init__(
        self, path: Path, options: EngineOptions = DEFAULT_OPTIONS, cuda: bool = False
    ) -> None:
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.log_severity_level = 3
        settings.add_session_config_entry(
            "session.intra_op.allow_spinning", "1" if options.spinning else "0"
        )
        # Without VNNI (AVX2), int8 products overflow int16 sums and INT8 graphs answer nonsense
        # (cosine 0.87 instead of 0.999); with it this setting changes nothing.
        settings.add_session_config_entry("session.x64quantprecision", "1")
        wanted = [CUDA, CPU] if cuda else [CPU]
        if cuda and CUDA not in ort.get_available_providers():
            raise DeviceError(
                "this ONNX Runtime has no CUDA, which the target of this bundle runs on; "
                "see: xsd-edge doctor"
            )
        try:
            self._session = ort.InferenceSession(str(path), settings, providers=wanted)
        except Exception as error:  # ORT's own exception types are not public
            raise BundleError(f"ONNX Runtime cannot load {path}: {error}") from error
        if wanted[0] not in self._session.get_providers():  # it falls back without an error
            raise DeviceError(
                "ONNX Runtime's CUDA does not start on this GPU; see: xsd-edge doctor"
            )
        if not cuda and _bytes(path) >= LARGE:
            use_huge_pages()
        self._device = "cuda" if cuda else "cpu"
        self._binding = self._session.io_binding()
        self._held: list[ort.OrtValue] = []
        self._bound: dict[str, Array] = {}  # by input or output, as ONNX Runtime knows it

    def hold(self, pairs: Mapping[str, str], shape: tuple[int, ...], dtype: str) -> None:
        for source, result in pairs.items():
            buffer = ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, dtype), self._device, 0)
            self._held.append(buffer)
            self._binding.bind_ortvalue_input(source, buffer)
            self._binding.bind_ortvalue_output(result, buffer)

    def prepare(self, feeds: Arrays, results: Arrays) -> Prepared:
        """A run over these arrays: telling ONNX Runtime where a small network's arrays lie takes a
        fifth of its time.
        """
        return Prepared(self._session, feeds, results)

    def run(self, feeds: Arrays, results: Arrays) -> None:
        bound = self._bound
        for name, array in feeds.items():
            if bound.get(name) is not array:
                bind = self._binding.bind_input
                bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
                bound[name] = array
        for name, array in results.items():
            if bound.get(name) is not array:
                bind = self._binding.bind_output
                bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
                bound[name] = array
        self._session.run_with_iobinding(self._binding)

    def close(self) -> None:
        del self._binding, self._session
        self._held.clear()


class Prepared:
    """One run of a session, its arrays bound for good."""

    def __init__(self, session: ort.InferenceSession, feeds: Arrays, results: Arrays) -> None:
        self._session, self._binding = session, session.io_binding()
        self._arrays = (*feeds.values(), *results.values())  # ONNX Runtime only has addresses
        for arrays, bind in (
            (feeds, self._binding.bind_input),
            (results, self._binding.bind_output),
        ):
            for name, array in arrays.items():
                bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def __call__(self) -> None:
        self._session.run_with_iobinding(self._binding)


def _bytes(graph: Path) -> int:
    """Size of a graph and of the weights beside it."""
    beside = graph.with_name(f"{graph.name}.data")
    return sum(file.stat().st_size for file in (graph, beside) if file.exists())


# The smallest ONNX file there is for this: y = x + x on float32 [1], opset 17.
PROBE = bytes.fromhex(
    "08083a350a0e0a01780a017812017922034164641201675a0f0a0178120a0a080801"
    "12040a020801620f0a0179120a0a08080112040a02080142040a001011"
)


def listed_providers() -> tuple[str, ...]:
    """What this build of ONNX Runtime says that it has."""
    return tuple(ort.get_available_providers())


def why_unusable(provider: str) -> str | None:
    """Why a provider cannot run a single addition here; None where it can.

    A list of providers only says what was compiled in: a build without kernels for this GPU, or
    without its driver, fails when the first kernel is to start.
    """
    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    if provider != CPU:
        settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        with warnings.catch_warnings():  # of a provider that is not there: that is the answer
            warnings.simplefilter("ignore")
            session = ort.InferenceSession(PROBE, settings, providers=[provider])
        if provider not in session.get_providers():
            return "it does not start here"
        (found,) = session.run(None, {"x": np.array([21], np.float32)})
    except Exception as error:  # ORT's own exception types are not public
        return " ".join(str(error).split())
    return None if float(found[0]) == 42 else f"21 + 21 gave {found[0]}"
