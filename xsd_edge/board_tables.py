"""How boards are shown: one row per board, and the tables of a single one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from xsd_edge.boards import Board, Gpu, PowerMode
from xsd_edge.console import Table

UNKNOWN = "-"


def overview(boards: Iterable[Board]) -> Table:
    """One row per board."""
    header = ("board", "is", "SM", "SMs", "MHz", "INT8 T", "FP16 T", "GB", "GB/s", "DLAs", "allows")
    return Table("Boards (T: dense 10^12 operations a second)", header, [_row(b) for b in boards])


def details(board: Board) -> tuple[Table, ...]:
    """Power modes, releases and budgets of one board."""
    modes = [
        (
            mode.name + (" (Super)" if mode.variant == "super" else ""),
            "yes" if mode.default else "",
            *(
                _shown(v)
                for v in (mode.cpus, mode.sms, mode.gpu_mhz, mode.memory_mhz, mode.dla_mhz)
            ),
            _tera(board, "int8", mode),
            _tera(board, "fp16", mode),
            _bandwidth(board, mode),
        )
        for mode in board.power_modes
    ]
    columns = (
        "mode",
        "default",
        "CPUs",
        "SMs",
        "GPU MHz",
        "RAM MHz",
        "DLA MHz",
        "INT8 T",
        "FP16 T",
        "GB/s",
    )
    releases = [
        (_shown(row.jetpack), row.tensorrt, row.cuda, row.python, "yes" if row.dla else "no")
        for row in board.software
    ]
    budget = [(stage, _shown(ms)) for stage, ms in asdict(board.budget_ms).items()]
    tables = (
        overview([board]),
        Table("Power modes", columns, modes),
        Table("Releases", ("JetPack", "TensorRT", "CUDA", "Python", "DLA usable"), releases),
        Table("Latency budget", ("stage", "ms"), budget),
        Table("Where the numbers are from", ("numbers", "source"), list(board.sources.items())),
    )
    return tuple(table for table in tables if table.rows)


def _row(board: Board) -> tuple[str, ...]:
    gpu = board.gpu or Gpu(UNKNOWN)
    return (
        " = ".join((board.name, *board.aliases)),
        board.title,
        _shown(gpu.compute_capability),
        _shown(gpu.sms),
        _shown(gpu.max_mhz),
        _tera(board, "int8"),
        _tera(board, "fp16"),
        _shown(board.memory.gb),
        _shown(board.memory.gb_per_s),
        _shown(board.dla.count if board.dla else None),
        " ".join(board.precisions),
    )


def _tera(board: Board, precision: str, mode: PowerMode | None = None) -> str:
    rate = board.dense_rate(precision, mode)
    return UNKNOWN if rate is None else f"{rate / 1e12:.1f}"


def _bandwidth(board: Board, mode: PowerMode) -> str:
    peak = board.bandwidth(mode)
    return UNKNOWN if peak is None else f"{peak / 1e9:.1f}"


def _shown(value: str | float | None) -> str:
    if value is None:
        return UNKNOWN
    return value if isinstance(value, str) else f"{value:g}"
