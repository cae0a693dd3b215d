"""What a machine says of itself, read from the files of a board that is not here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.board_root import GIB, agx_orin, put, set_clocks
from xsd_edge.machine import Machine


def test_an_agx_orin(tmp_path: Path) -> None:
    machine = Machine(agx_orin(tmp_path))
    assert machine.model == "NVIDIA Jetson AGX Orin Developer Kit"
    assert machine.modules == ("p3737-0000", "p3701-0005")
    assert machine.board is not None
    assert machine.board.name == "orin"
    assert (machine.l4t, machine.jetpack) == ("36.4.7", "6.2.1")
    assert machine.power_mode == "MODE_30W"
    assert machine.memory is not None
    assert machine.memory.available == 55 * GIB
    assert machine.memory.cma == 256 << 20


@pytest.mark.parametrize(
    ("module", "board"),
    [
        ("p3701-0000", "orin"),
        ("p3701-0005", "orin"),
        ("p3701-0004", "orin-agx-32"),
        ("p3767-0000", "orin-nx-16"),
        ("p3767-0001", "orin-nx-8"),
        ("p3767-0003", "orin-nano-8"),
        ("p3767-0005", "orin-nano-8"),
        ("p3834-0008", "thor"),
    ],
)
def test_the_module_names_the_board(tmp_path: Path, module: str, board: str) -> None:
    put(tmp_path, "/proc/device-tree/compatible", f"nvidia,p3768-0000+{module}\0nvidia,{module}\0")
    found = Machine(tmp_path).board
    assert found is not None
    assert found.name == board


@pytest.mark.parametrize(
    ("line", "l4t", "jetpack"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 1", "36.4.3", "6.2"),
        ("# R36 (release), REVISION: 5.2, GCID: 1", "36.5.2", "6.2.3"),
        ("# R38 (release), REVISION: 2.1, GCID: 1", "38.2.1", "7.0"),
        ("# R39 (release), REVISION: 2.2, GCID: 1", "39.2.2", "7.2.2"),
        ("# R99 (release), REVISION: 9.9, GCID: 1", "99.9.9", None),
    ],
)
def test_releases(tmp_path: Path, line: str, l4t: str, jetpack: str | None) -> None:
    put(tmp_path, "/etc/nv_tegra_release", line + "\n")
    machine = Machine(tmp_path)
    assert (machine.l4t, machine.jetpack) == (l4t, jetpack)


def test_the_same_id_is_another_mode_elsewhere(tmp_path: Path) -> None:
    agx_orin(tmp_path)
    put(tmp_path, "/etc/nvpmodel.conf", "< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n")
    assert Machine(tmp_path).power_mode == "MAXN_SUPER"


def test_clocks(tmp_path: Path) -> None:
    machine = Machine(agx_orin(tmp_path))
    assert machine.clocks_pinned is False
    set_clocks(tmp_path, 612000000, 612000000)
    assert machine.clocks_pinned is True


def test_an_empty_root_says_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    said = (machine.model, machine.board, machine.l4t, machine.jetpack, machine.power_mode)
    assert said == (None,) * 5
    assert machine.clocks_pinned is None
    assert machine.memory is None


def test_this_very_machine_has_memory() -> None:
    memory = Machine().memory
    assert memory is not None
    assert 0 < memory.available <= memory.total
