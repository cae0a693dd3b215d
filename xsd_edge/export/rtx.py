"""NVIDIA's own parser and graph compiler as a judge: TensorRT-RTX builds engines without a GPU.

It proves that a graph parses, that its types agree and that it compiles. Its kernels are chosen on
the GPU, so that speed and the last digits stay the device's business. SM86 stands in for Orin's
SM87, which it does not know.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from xsd_edge.errors import BundleError, ExtraMissingError

MODULE = "tensorrt_rtx"
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
    trt = import_module(MODULE)
    began, log = perf_counter(), _logger(trt)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(graph)):
        said = "; ".join(str(parser.get_error(i).desc()) for i in range(parser.num_errors))
        raise BundleError(_refusal(graph, said))
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, STAND_IN), 0)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BundleError(_refusal(graph, "; ".join(log.errors) or "no plan"))
    return Compiled(perf_counter() - began, plan.nbytes)


def _refusal(graph: Path, said: str) -> str:
    return (
        f"TensorRT-RTX refuses {graph.parent.name}/{graph.name}: {said}; "
        "export it with the versions that scripts/setup installs"
    )


def _logger(trt: Any) -> Any:
    """Keeps what TensorRT calls an error; the rest is talk about its own insides."""

    class Errors(trt.ILogger):  # type: ignore[misc]  # the base is known only at run time
        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                self.errors.append(message)

    return Errors()
