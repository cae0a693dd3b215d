"""The contract of a loaded network. ONNX Runtime and TensorRT keep it; everything above sees only
this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xsd_edge.bundle import Bundle, Part, TensorSpec

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = Mapping[str, Array]


class Engine(Protocol):
    """One network. Arrays that go in and out are C-contiguous and belong to the caller."""

    def run(self, feeds: Arrays, results: Arrays) -> None:
        """Run once: read `feeds`, write each array of `results`, whose shapes the caller knows."""

    def hold(self, pairs: Mapping[str, str], shape: tuple[int, ...], dtype: str) -> None:
        """Give each (input, output) pair one zeroed buffer of its own that stays between runs: a KV
        cache.
        """

    def close(self) -> None:
        """Free the network; it cannot run again."""


class EngineOptions(NamedTuple):
    """How an engine may use the machine."""

    threads: int = 0  # 0: all cores
    spinning: bool = True  # idle threads burn cycles to answer faster


DEFAULT_OPTIONS = EngineOptions()
Opener: TypeAlias = Callable[[Bundle, str, EngineOptions], Engine]  # opens one part of a bundle


def open_engine(bundle: Bundle, part: str, options: EngineOptions = DEFAULT_OPTIONS) -> Engine:
    """Load one part of a bundle with the back-end its board uses.

    A part for TensorRT runs the engine that `xsd-edge build` chose here, and its graph in ONNX
    Runtime where there is none.
    """
    described = bundle.part(part)
    engine = _open(bundle, described, options)
    if "m" in described.sizes:
        from xsd_edge.runtime.fixed_head import FixedDraftHead

        return FixedDraftHead(engine, described)
    return engine


def _open(bundle: Bundle, part: Part, options: EngineOptions) -> Engine:
    if part.backend == "tensorrt":
        from xsd_edge.runtime.engine_store import choose

        plan = choose(bundle, part.name).plan
        if plan is not None:
            from xsd_edge.runtime.tensorrt_engine import TensorRtEngine

            return TensorRtEngine(plan)
    from xsd_edge.runtime.onnx_engine import OnnxEngine

    path: Path = bundle.graph(part.name)
    return OnnxEngine(path, options, cuda=part.backend == "cuda")


def allocate(specs: tuple[TensorSpec, ...], **sizes: int) -> dict[str, Array]:
    """Zeroed arrays for tensor specs, named dimensions filled in from `sizes`."""
    return {
        spec.name: np.zeros(
            tuple(d if isinstance(d, int) else sizes[d] for d in spec.shape), spec.dtype
        )
        for spec in specs
    }


def prepared(engine: Engine, feeds: Arrays, results: Arrays) -> Callable[[], None]:
    """`engine.run` over the same arrays again and again, made ready once where the engine can do
    that. Not for networks that hold caches.
    """
    prepare: Callable[[Arrays, Arrays], Callable[[], None]] | None
    prepare = getattr(engine, "prepare", None)
    return partial(engine.run, feeds, results) if prepare is None else prepare(feeds, results)


def arrays_for(engine: Engine, specs: tuple[TensorSpec, ...], **sizes: int) -> dict[str, Array]:
    """As `allocate`, in the engine's own memory where it has some: that saves a copy.

    What an engine gives stays until it runs again.
    """
    own: Mapping[str, Array] = getattr(engine, "arrays", {})
    wanted = allocate(specs, **sizes)
    return {
        name: own[name]
        if name in own and (own[name].shape, own[name].dtype) == (array.shape, array.dtype)
        else array
        for name, array in wanted.items()
    }
