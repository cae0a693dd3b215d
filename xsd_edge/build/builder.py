"""TensorRT's Python builder: an ONNX file to a plan, strongly typed where the version allows it.

The same calls work with TensorRT 10.3 to 11 and with TensorRT-RTX, which needs no GPU to compile.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from xsd_edge.errors import BundleError
from xsd_edge.runtime import tensorrt_api


class CompileError(BundleError):
    """TensorRT refuses a graph; the message is its own."""


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """What the builder is told. All of it is part of an engine's key.

    `capabilities` ("SM86") are for TensorRT-RTX, which compiles for GPUs that are not here.
    """

    strongly_typed: bool = True
    workspace_mib: int = 512
    level: int = 3
    capabilities: tuple[str, ...] = ()


class Compiled(NamedTuple):
    """The plan, and the timing cache as it is now (empty where there is none)."""

    plan: bytes
    timing_cache: bytes


def compile_onnx(
    api: Any,
    graph: Path,
    options: CompileOptions,
    timing_cache: bytes | None = None,
) -> Compiled:
    """Compile one graph, whose axes are all fixed.

    Raises:
        CompileError: the parser or the builder refuses it.
    """
    log = tensorrt_api.log(api)
    builder = api.Builder(log.logger)
    # The flag's number differs between versions; without it precision flags decide the types.
    strong = 1 << int(api.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(strong if options.strongly_typed else 0)
    parser = api.OnnxParser(network, log.logger)
    if not parser.parse_from_file(str(graph)):
        reasons = [str(parser.get_error(i)) for i in range(parser.num_errors)]
        why = " ".join("; ".join(reasons).split()) or log.last("no reason given")
        raise CompileError(f"TensorRT cannot read {graph}: {why}")
    config = _configure(api, builder, options)
    cache = None
    if timing_cache is not None:
        cache = config.create_timing_cache(timing_cache)
        config.set_timing_cache(cache, ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        why = log.last("no reason given")
        raise CompileError(f"TensorRT cannot build {graph}: {why}")
    return Compiled(bytes(plan), bytes(cache.serialize()) if cache is not None else b"")


def _configure(api: Any, builder: Any, options: CompileOptions) -> Any:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(api.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    config.builder_optimization_level = options.level
    if not options.strongly_typed:
        # Explicit Q/DQ wins over the INT8 flag, so no calibrator is asked for.
        config.set_flag(api.BuilderFlag.FP16)
        config.set_flag(api.BuilderFlag.INT8)
    if options.capabilities:
        config.num_compute_capabilities = len(options.capabilities)
        for index, name in enumerate(options.capabilities):
            config.set_compute_capability(getattr(api.ComputeCapability, name), index)
    return config
