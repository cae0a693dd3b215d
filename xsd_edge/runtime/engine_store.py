"""The folder of engines beside a bundle, and the record of which one each part runs here.

`BUNDLE.engines/` holds plans, timing caches and one record per place, a place being everything that
an engine depends on beside its graph. `build` writes it, the session reads it, and a bundle that is
exported again keeps the engines whose graphs have not changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from xsd_edge.bundle import Bundle, sha256_of
from xsd_edge.errors import BundleError, DeviceError, ExtraMissingError
from xsd_edge.machine import Machine
from xsd_edge.runtime import tensorrt_api
from xsd_edge.runtime.cuda import Cuda

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Place:
    """What an engine is good for: it runs nowhere else, and was timed nowhere else."""

    tensorrt: str
    module: str  # the module's part number; the GPU's name where there is none
    capability: str
    sms: int  # a power mode may turn some off
    power_mode: str | None

    @classmethod
    def here(cls, machine: Machine) -> Place:
        """Raises DeviceError where TensorRT or a GPU is missing, ExtraMissingError for CUDA."""
        version = str(tensorrt_api.load().__version__)
        gpu = Cuda().gpu()
        board = machine.board
        mine = [m for m in machine.modules if board and m in board.modules]
        module = mine[0] if mine else gpu.name
        return cls(version, module, gpu.capability, gpu.sms, machine.power_mode)

    @property
    def digest(self) -> str:
        return digest(asdict(self))


@dataclass(frozen=True, slots=True)
class Candidate:
    """One precision of one part: what building, checking and timing it gave."""

    onnx_sha256: str
    tolerance: float  # the least cosine that passes
    plan: str | None = None  # file name in the folder; None: no engine passed
    sha256: str | None = None
    builder: str | None = None  # "python" or "trtexec"
    typing: str | None = None  # "strong" or "weak"
    build_s: float | None = None  # None: the plan was in the cache
    cosine: float | None = None  # least row cosine against the bundle's reference
    median_ms: float | None = None  # timed in turns with the other precisions
    error: str | None = None  # why there is no engine


@dataclass(frozen=True, slots=True)
class PartRecord:
    """`chosen` is the fastest precision within tolerance; None: ONNX Runtime runs the part."""

    chosen: str | None
    candidates: dict[str, Candidate]


@dataclass(frozen=True, slots=True)
class Record:
    """All of build-PLACE.json."""

    place: Place
    parts: dict[str, PartRecord]

    def to_dict(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, text: str, path: Path) -> Record:
        """Raises BundleError where the file is not one that this version wrote."""
        try:
            raw = json.loads(text)
            if raw["format"] != FORMAT:
                raise ValueError(f"format {raw['format']}")
            parts = {
                name: PartRecord(
                    part["chosen"],
                    {p: Candidate(**each) for p, each in part["candidates"].items()},
                )
                for name, part in raw["parts"].items()
            }
            return cls(Place(**raw["place"]), parts)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(
                f"{path} cannot be read ({error}); build the engines again with: xsd-edge build"
            ) from error


class EngineStore:
    """`BUNDLE.engines/` of one bundle."""

    def __init__(self, bundle: Bundle) -> None:
        folder = bundle.folder.resolve()
        self.folder = folder.with_name(folder.name + ".engines")

    def record_path(self, place: Place) -> Path:
        return self.folder / f"build-{place.digest}.json"

    def read(self, place: Place) -> Record | None:
        """The record of this place, if something was built here."""
        path = self.record_path(place)
        if not path.is_file():
            return None
        return Record.from_json(path.read_text(encoding="utf-8"), path)

    def write(self, name: str, content: bytes) -> Path:
        """Put a file in place whole, or not at all.

        Raises:
            DeviceError: the folder cannot be written.
        """
        path = self.folder / name
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=self.folder)
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            raise DeviceError(
                f"cannot write {path}: {error.strerror}; move the bundle where you may write"
            ) from error
        return path

    def write_record(self, record: Record) -> Path:
        text = json.dumps(record.to_dict(), indent=1, sort_keys=True) + "\n"
        return self.write(self.record_path(record.place).name, text.encode())


class Choice(NamedTuple):
    """How a part runs here: the checked plan, or why ONNX Runtime does it."""

    plan: Path | None
    reason: str = ""


def choose(bundle: Bundle, part: str, machine: Machine | None = None) -> Choice:
    """The engine that `build` chose for a part on this machine, in this power mode.

    Raises:
        BundleError: the record or the plan is not what `build` wrote.
    """
    store = EngineStore(bundle)
    if not store.folder.is_dir():
        return Choice(None, "no engines are built")
    try:
        place = Place.here(machine or Machine())
    except (DeviceError, ExtraMissingError) as error:
        return Choice(None, str(error))
    record = store.read(place)
    if record is None:
        where = f"TensorRT {place.tensorrt}, {place.module}, {place.sms} SMs"
        mode = f", mode {place.power_mode}" if place.power_mode else ""
        return Choice(None, f"nothing is built for {where}{mode}")
    known = record.parts.get(part)
    if known is None or known.chosen is None:
        return Choice(None, "no engine passed the parity gate" if known else "not built")
    candidate = known.candidates[known.chosen]
    graph = bundle.part(part).files.get(known.chosen)
    if candidate.plan is None or graph is None or graph.sha256 != candidate.onnx_sha256:
        return Choice(None, "the bundle has changed since")
    plan = store.folder / candidate.plan
    if not plan.is_file() or sha256_of(plan) != candidate.sha256:
        raise BundleError(
            f"{plan} is not the engine that was built; build again with: xsd-edge build"
        )
    return Choice(plan)


def missing_engines(bundle: Bundle) -> str | None:
    """What to say before a run in which ONNX Runtime stands in for engines; None: it does not."""
    parts = [p.name for p in bundle.manifest.parts.values() if p.backend == "tensorrt"]
    choices = {name: choose(bundle, name) for name in sorted(parts)}
    missing = {name: choice.reason for name, choice in choices.items() if choice.plan is None}
    if not missing:
        return None
    why = "; ".join(dict.fromkeys(missing.values()))
    return (
        f"ONNX Runtime runs {', '.join(missing)}, much slower than an engine ({why}); "
        f"run: xsd-edge build {bundle.folder}"
    )


def identity(bundle: Bundle, part: str, machine: Machine | None = None) -> str:
    """What measured costs of a part belong to: its engine here, or its graph."""
    described = bundle.part(part)
    plan = choose(bundle, part, machine).plan if described.backend == "tensorrt" else None
    return plan.name[:12] if plan else described.files[described.default].sha256[:12]


def digest(facts: Mapping[str, Any]) -> str:
    """A short name for a set of facts."""
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
