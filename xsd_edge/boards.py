"""Boards: what `--target NAME` may assume of the machine that runs the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from xsd_edge import toml_files

ENGINES = ("onnxruntime", "tensorrt")
PRECISIONS = ("fp32", "bf16", "fp16", "fp8", "int8", "fp4", "int4")
SOURCES = ("documented", "reported", "datasheet", "derived", "assumed")


def _require_positive(record: object) -> None:
    for each in fields(record):  # type: ignore[arg-type]  # only our dataclasses come here
        value = getattr(record, each.name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and not value > 0:
            raise ValueError(f"{each.name} must be above 0, not {value}")


@dataclass(frozen=True, slots=True)
class Gpu:
    """`ops_per_clock`: dense operations per SM and clock by precision (a multiply-add is two)."""

    architecture: str
    compute_capability: str | None = None  # None: known only on the machine itself
    sms: int | None = None
    max_mhz: float | None = None
    ops_per_clock: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_positive(self)
        for precision, rate in self.ops_per_clock.items():
            _require_known("precision", precision, PRECISIONS)
            if rate <= 0:
                raise ValueError(f"ops_per_clock.{precision} must be above 0, not {rate}")


@dataclass(frozen=True, slots=True)
class Memory:
    """Main memory, shared by CPU and GPU on Jetson. The bus's peak; about 0.91 is reachable."""

    gb: float | None = None
    gb_per_s: float | None = None
    bus_bits: int | None = None

    def __post_init__(self) -> None:
        _require_positive(self)


@dataclass(frozen=True, slots=True)
class Dla:
    """Deep-learning accelerators beside the GPU: their count, and dense INT8 of all together."""

    count: int
    mhz: float
    int8_tops: float

    def __post_init__(self) -> None:
        _require_positive(self)


@dataclass(frozen=True, slots=True)
class PowerMode:
    """An nvpmodel mode, by name: the same id means other modes on other modules. None: unknown."""

    name: str
    variant: str = "base"  # "super": from the configuration that JetPack's Super mode installs
    default: bool = False
    cpus: int | None = None
    gpu_mhz: float | None = None
    sms: int | None = None
    memory_mhz: float | None = None
    dla_mhz: float | None = None

    def __post_init__(self) -> None:
        _require_positive(self)
        _require_known("variant", self.variant, ("base", "super"))


@dataclass(frozen=True, slots=True)
class Software:
    """One supported row of releases; `dla` says whether this TensorRT can use the DLA here."""

    tensorrt: str
    cuda: str
    python: str
    jetpack: str | None = None
    dla: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """What each stage may cost, in milliseconds, on a live stream of 8-frame clips of 1 s."""

    representation: float  # one clip's events to counts
    event_encoder: float  # one clip
    alignment: float
    acceptance_predictor: float
    vision_frame: float  # tower and projector, one frame
    prefill_frame: float  # the target reads one frame's tokens
    draft_step: float  # one drafted token
    verify_round: float  # the target scores gamma + 1 rows
    host_round: float  # our own work between the engine calls of one round

    def __post_init__(self) -> None:
        _require_positive(self)


@dataclass(frozen=True, slots=True)
class Board:
    """One board file. `sources` says where each group of numbers is from (profiles/README.md)."""

    name: str
    title: str
    engine: str
    precisions: tuple[str, ...]
    budget_ms: Budget
    sources: dict[str, str]
    aliases: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()  # part numbers in the device tree that mean this board
    gpu: Gpu | None = None
    memory: Memory = Memory()
    dla: Dla | None = None
    power_modes: tuple[PowerMode, ...] = ()
    software: tuple[Software, ...] = ()

    def __post_init__(self) -> None:
        _require_known("engine", self.engine, ENGINES)
        for precision in self.precisions:
            _require_known("precision", precision, PRECISIONS)
        for group, source in self.sources.items():
            _require_known("sources group", group, [f.name for f in fields(self)])
            _require_known("source", source, SOURCES)

    @classmethod
    def load(cls, spec: str) -> Board:
        """A board by name, alias or path.

        Raises:
            RecipeError: no such board (the known ones are listed), or its file is wrong.
        """
        if not Path(spec).is_file() and spec not in toml_files.named("profiles"):
            for board in known_boards():
                if spec in board.aliases:
                    return board
        return cls.from_file(toml_files.find("profiles", spec))

    @classmethod
    def from_file(cls, path: Path) -> Board:
        return toml_files.load(cls, path)

    def dense_rate(self, precision: str, mode: PowerMode | None = None) -> float | None:
        """Peak dense operations per second in a power mode (default: all SMs, highest clock).

        SMs x clock x operations per SM and clock; about 0.97 is reachable. None where unknown.
        """
        if self.gpu is None or precision not in self.gpu.ops_per_clock:
            return None
        sms, mhz = (mode.sms, mode.gpu_mhz) if mode else (self.gpu.sms, self.gpu.max_mhz)
        return sms * mhz * 1e6 * self.gpu.ops_per_clock[precision] if sms and mhz else None

    def bandwidth(self, mode: PowerMode | None = None) -> float | None:
        """Peak bytes per second of main memory in a power mode (default: the highest clock).

        LPDDR5 moves two words of the bus a clock. A mode that names no memory clock leaves it at
        its highest. None where unknown.
        """
        if mode is not None and mode.memory_mhz and self.memory.bus_bits:
            return mode.memory_mhz * 1e6 * 2 * self.memory.bus_bits / 8
        return self.memory.gb_per_s * 1e9 if self.memory.gb_per_s else None

    def to_dict(self) -> dict[str, Any]:
        """Everything the file says, and the rates that follow from it, for JSON."""
        precisions = self.gpu.ops_per_clock if self.gpu else ()
        rates = {p: self.dense_rate(p) for p in precisions}
        return {**asdict(self), "dense_ops_per_s": {p: r for p, r in rates.items() if r}}


def known_boards() -> tuple[Board, ...]:
    """Every board that `--target` knows by name."""
    return tuple(Board.from_file(path) for path in toml_files.named("profiles").values())


def _require_known(what: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"unknown {what} {value!r}; known: {', '.join(known)}")
