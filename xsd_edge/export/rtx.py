"""NVIDIA's own parser and graph compiler as a judge: TensorRT-RTX builds engines without a GPU.

It proves that a graph parses, that its types agree and that it compiles. Its kernels are chosen on
the GPU, so that speed and the last digits stay the device's business. SM86 stands in for Orin's
SM87, which it does not know.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from xsd_edge.build.builder import CompileError, CompileOptions, compile_onnx
from xsd_edge.errors import BundleError, ExtraMissingError
from xsd_edge.runtime import tensorrt_api

MODULE = tensorrt_api.RTX
STAND_IN = "SM86"


class Compiled(NamedTuple):
    """One engine that could be built."""

    seconds: float
    size: int  # of the plan, in bytes; the plan itself is for no board of ours


def available() -> bool:
    return find_spec(MODULE) is not None


def compile_engine(graph: Path) -> Compiled:
    """Parse a strongly typed graph and build its engine.

    Raises:
        BundleError: the parser or the compiler refuses it; says what it said.
        ExtraMissingError: TensorRT-RTX is not installed.
    """
    if not available():
        raise ExtraMissingError("compiling engines on the build host", "rtx")
    began = perf_counter()
    try:
        made = compile_onnx(
            tensorrt_api.load(MODULE),
            graph,
            CompileOptions(workspace_mib=4096, capabilities=(STAND_IN,)),
        )
    except CompileError as error:
        raise BundleError(
            f"TensorRT-RTX refuses {graph.parent.name}/{graph.name}: {error}; "
            "export it with the versions that scripts/setup installs"
        ) from error
    return Compiled(perf_counter() - began, len(made.plan))
