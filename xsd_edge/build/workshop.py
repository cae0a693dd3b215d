"""Making one engine: from the cache, or by the first way of building that gives one that passes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from xsd_edge.build import trtexec
from xsd_edge.build.builder import CompileOptions, compile_onnx
from xsd_edge.build.gate import Reference, least_cosine, passes
from xsd_edge.bundle import Bundle, Part, sha256_of
from xsd_edge.errors import BundleError, DeviceError
from xsd_edge.machine import Machine
from xsd_edge.runtime import tensorrt_api
from xsd_edge.runtime.engine_store import Candidate, EngineStore, Place, digest
from xsd_edge.runtime.tensorrt_engine import TensorRtEngine


class Way(NamedTuple):
    """One way to build."""

    builder: str  # "python" or "trtexec"
    options: CompileOptions

    @property
    def typing(self) -> str:
        return "strong" if self.options.strongly_typed else "weak"


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where engines of one bundle are made. `rebuild` takes no plan from the cache."""

    bundle: Bundle
    store: EngineStore
    place: Place
    machine: Machine
    options: CompileOptions
    rebuild: bool = False

    def make(self, part: Part, precision: str, reference: Reference) -> Candidate:
        """The first engine that passes the gate, with how it came about; or why there is none."""
        entry = part.files[precision]
        graph = self.bundle.graph(part.name, precision)
        blank = Candidate(entry.sha256, part.tolerance.get(precision, 1.0))
        errors = []
        for way in self._ways():
            try:
                return self._attempt(blank, graph, way, reference)
            except BundleError as error:
                errors.append(f"{way.builder}, {way.typing}ly typed: {error}")
        return replace(blank, error=" | ".join(errors))

    def _ways(self) -> Iterator[Way]:
        """TensorRT 10.3 takes strong typing as an option that its makers call complete only since
        10.12, so there the precision flags are the second way; 11 has none.
        """
        weak = replace(self.options, strongly_typed=False)
        yield Way("python", self.options)
        if tensorrt_api.is_weakly_typed(tensorrt_api.load()):
            yield Way("python", weak)
        if trtexec.find(self.machine):
            yield Way("trtexec", self.options)

    def _attempt(self, blank: Candidate, graph: Path, way: Way, reference: Reference) -> Candidate:
        """One way's engine.

        Raises:
            BundleError: it cannot be built, does not load, or does not pass the gate.
        """
        name = f"{self._key(blank.onnx_sha256, way)}.plan"
        path, seconds = self.store.folder / name, None
        cosine = None if self.rebuild or not path.is_file() else self._cached(path, reference)
        if cosine is None:
            start = time.monotonic()
            self._compile(graph, way, path)
            seconds = round(time.monotonic() - start, 3)
            cosine = _judge(path, reference)
        if not passes(cosine, blank.tolerance):
            raise BundleError(
                f"its least cosine with the reference is {cosine:.5f}, below {blank.tolerance}"
            )
        return replace(
            blank,
            plan=name,
            sha256=sha256_of(path),
            builder=way.builder,
            typing=way.typing,
            build_s=seconds,
            cosine=round(cosine, 7),
        )

    def _key(self, onnx_sha256: str, way: Way) -> str:
        facts: dict[str, Any] = {
            "onnx": onnx_sha256,
            "place": asdict(self.place),
            "builder": way.builder,
            "options": asdict(way.options),
        }
        return digest(facts)

    def _cached(self, path: Path, reference: Reference) -> float | None:
        """A plan's cosine; None where it does not load, and must be built again."""
        try:
            return _judge(path, reference)
        except BundleError:
            return None

    def _compile(self, graph: Path, way: Way, path: Path) -> None:
        timings = self.store.folder / f"timing-{self.place.digest}-{way.builder}.cache"
        if way.builder == "trtexec":
            with TemporaryDirectory() as scratch:
                plan = Path(scratch, "engine.plan")
                program = trtexec.find(self.machine)
                assert program is not None
                trtexec.compile_with(program, graph, way.options, timings, plan)
                self.store.write(path.name, plan.read_bytes())
            return
        known = timings.read_bytes() if timings.is_file() else b""
        made = compile_onnx(tensorrt_api.load(), graph, way.options, known)
        self.store.write(path.name, made.plan)
        self.store.write(timings.name, made.timing_cache)


def _judge(path: Path, reference: Reference) -> float:
    """An engine's least cosine.

    Raises:
        BundleError: it does not load, or not run: this engine's fault, another may do.
    """
    try:
        engine = TensorRtEngine(path)
        try:
            return least_cosine(engine, reference)
        finally:
            engine.close()
    except DeviceError as error:
        raise BundleError(f"it does not run: {error}") from error
