"""`xsd-edge build`: every part's engines, the faster precision of each, one record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from xsd_edge.build.builder import CompileOptions
from xsd_edge.build.gate import Reference
from xsd_edge.build.race import race
from xsd_edge.build.workshop import Workshop
from xsd_edge.bundle import Bundle, Part
from xsd_edge.errors import BundleError
from xsd_edge.machine import Machine
from xsd_edge.runtime.engine_store import Candidate, EngineStore, PartRecord, Place, Record
from xsd_edge.runtime.tensorrt_engine import TensorRtEngine

Say = Callable[[str], None]
PRECISIONS = ("fp16", "int8")  # what is built; a part's other graphs are for ONNX Runtime


def build(
    folder: Path, machine: Machine, options: CompileOptions, rebuild: bool, say: Say
) -> Record:
    """Build, check and time every engine of a bundle, and record what to run here.

    Raises:
        BundleError: no bundle, or one without engine parts.
        DeviceError: no TensorRT, no GPU, or no room for the engines.
    """
    bundle = Bundle(folder)
    parts = engine_parts(bundle)
    place = Place.here(machine)
    store = EngineStore(bundle)
    say(_where(place, machine))
    workshop = Workshop(bundle, store, place, machine, options, rebuild)
    records = {}
    for part in parts:
        records[part.name] = _build_part(workshop, part, say)
        # After each part: what is interrupted later keeps what is done.
        store.write_record(Record(place, _with_earlier(store, place, records)))
    return Record(place, records)


def engine_parts(bundle: Bundle) -> list[Part]:
    """The parts that TensorRT runs.

    Raises:
        BundleError: there are none.
    """
    parts = [p for _, p in sorted(bundle.manifest.parts.items()) if p.backend == "tensorrt"]
    if not parts:
        raise BundleError(
            f"{bundle.folder} is for {bundle.manifest.board}, which needs no engines; "
            "make one that does with: xsd-edge export --target orin"
        )
    return parts


def without_engine(record: Record) -> list[str]:
    """Parts that no engine passed for."""
    return sorted(name for name, part in record.parts.items() if part.chosen is None)


def _where(place: Place, machine: Machine) -> str:
    mode = f", power mode {place.power_mode}" if place.power_mode else ""
    pinned = "" if machine.clocks_pinned is not False else ", clocks not pinned"
    return f"TensorRT {place.tensorrt} on {place.module}, {place.sms} SMs{mode}{pinned}"


def _with_earlier(
    store: EngineStore, place: Place, records: dict[str, PartRecord]
) -> dict[str, PartRecord]:
    try:
        earlier = store.read(place)
    except BundleError:  # it is about to be written anew
        earlier = None
    return {**(earlier.parts if earlier else {}), **records}


def _build_part(workshop: Workshop, part: Part, say: Say) -> PartRecord:
    if part.reference is None:
        raise BundleError(f"part {part.name!r} has no reference outputs; export the bundle again")
    reference = Reference.load(part, workshop.bundle.file(part.reference))
    candidates = {}
    for precision in (each for each in PRECISIONS if each in part.files):
        say(f"{part.name}: {precision}")
        candidates[precision] = workshop.make(part, precision, reference)
        error = candidates[precision].error
        if error:
            say(f"{part.name}: {precision} is not used: {error}")
    times = _race(workshop, candidates, reference)
    candidates |= {
        name: replace(candidates[name], median_ms=median) for name, median in times.items()
    }
    return PartRecord(min(times, key=lambda name: times[name], default=None), candidates)


def _race(
    workshop: Workshop, candidates: dict[str, Candidate], reference: Reference
) -> dict[str, float]:
    engines: dict[str, TensorRtEngine] = {}
    try:
        for name, candidate in candidates.items():
            if candidate.plan is not None:
                engines[name] = TensorRtEngine(workshop.store.folder / candidate.plan)
        return race(engines, reference)
    finally:
        for engine in engines.values():
            engine.close()
