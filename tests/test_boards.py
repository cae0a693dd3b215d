"""Board files: what they say, what follows from it, and what is wrong with a wrong one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.fakes.board_root import agx_orin
from xsd_edge.boards import Board, PowerMode, known_boards
from xsd_edge.errors import RecipeError
from xsd_edge.machine import Machine

NAMES = ("cpu", "cuda", "orin", "orin-agx-32", "orin-nano-8", "orin-nx-16", "orin-nx-8", "thor")
ORIN = tuple(name for name in NAMES if name.startswith("orin"))


def mode(board: Board, name: str, variant: str = "base") -> PowerMode:
    (found,) = (m for m in board.power_modes if (m.name, m.variant) == (name, variant))
    return found


def test_all_boards_are_known() -> None:
    assert tuple(sorted(board.name for board in known_boards())) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_named_after_its_board(name: str) -> None:
    assert Board.from_file(ROOT / "profiles" / f"{name}.toml").name == name


def test_alias() -> None:
    assert Board.load("orin-agx-64") == Board.load("orin")


@pytest.mark.parametrize(
    ("name", "int8", "fp16"),
    [
        ("orin", 85.2, 42.6),
        ("orin-agx-32", 53.3, 26.7),
        ("orin-nx-16", 38.4, 19.2),
        ("orin-nx-8", 38.4, 19.2),
        ("orin-nano-8", 33.4, 16.7),
    ],
)
def test_dense_rates_at_full_clock(name: str, int8: float, fp16: float) -> None:
    """Half the marketed sparse GPU TOPS of each module."""
    board = Board.load(name)
    assert board.dense_rate("int8") == pytest.approx(int8 * 1e12, rel=2e-3)
    assert board.dense_rate("fp16") == pytest.approx(fp16 * 1e12, rel=2e-3)


def test_dense_rate_follows_the_power_mode() -> None:
    nano = Board.load("orin-nano-8")
    # 612 MHz: a published roofline study gives 20.05 TOPS and 10.03 TFLOPS for this mode
    assert nano.dense_rate("int8", mode(nano, "15W", "super")) == pytest.approx(20.05e12, rel=1e-3)
    assert nano.dense_rate("fp16", mode(nano, "15W", "super")) == pytest.approx(10.03e12, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("orin", "p3701-0005"),
        ("orin-agx-32", "p3701-0004"),
        ("orin-nx-16", "p3767-0000"),
        ("orin-nx-8", "p3767-0001"),
        ("orin-nano-8", "p3767-0003"),
        ("thor", "p3834-0008"),
    ],
)
def test_part_numbers(name: str, module: str) -> None:
    assert [b.name for b in known_boards() if module in b.modules] == [name]


def test_bandwidth_follows_the_memory_clock() -> None:
    nano = Board.load("orin-nano-8")
    assert nano.bandwidth(mode(nano, "15W")) == pytest.approx(68.3e9, rel=1e-3)
    assert nano.bandwidth(mode(nano, "25W", "super")) == pytest.approx(102.4e9, rel=1e-3)
    orin = Board.load("orin")
    assert orin.bandwidth(mode(orin, "MODE_15W")) == pytest.approx(136.5e9, rel=1e-3)
    assert orin.bandwidth(mode(orin, "MODE_30W")) == orin.bandwidth() == 204.8e9
    assert Board.load("cpu").bandwidth() is None


@pytest.mark.parametrize("name", ORIN)
def test_only_some_releases_can_use_the_dla(name: str) -> None:
    """JetPack 6's TensorRT can, 10.16 cannot, 11.4.1 can on AGX Orin; the Nano has none."""
    usable = {row.tensorrt for row in Board.load(name).software if row.dla}
    both = {"10.3.0", "11.4.1"}
    wanted = {"orin": both, "orin-agx-32": both, "orin-nano-8": set()}
    assert usable == wanted.get(name, {"10.3.0"})


def test_an_unknown_clock_gives_no_rate() -> None:
    board = Board.load("orin-nx-8")
    assert board.dense_rate("int8", mode(board, "10W")) is None
    assert Board.load("cuda").dense_rate("fp16") is None
    assert Board.load("thor").dense_rate("int8") is None


@pytest.mark.parametrize("name", ORIN)
def test_no_orin_allows_fp8_or_fp4(name: str) -> None:
    board = Board.load(name)
    assert not {"fp8", "fp4"} & set(board.precisions)
    assert board.gpu is not None
    assert board.gpu.compute_capability == "8.7"


@pytest.mark.parametrize("name", ORIN)
def test_each_variant_has_one_default_power_mode(name: str) -> None:
    board = Board.load(name)
    for variant in {m.variant for m in board.power_modes}:
        defaults = [m for m in board.power_modes if m.default and m.variant == variant]
        assert len(defaults) == 1


def test_a_mode_is_called_as_nvpmodel_calls_it(tmp_path: Path) -> None:
    """MODE_30W on an AGX Orin, 25W on the smaller modules."""
    machine = Machine(agx_orin(tmp_path))
    assert machine.board is not None
    assert set(machine.power_modes.values()) <= {m.name for m in machine.board.power_modes}


@pytest.mark.parametrize("name", ORIN)
def test_power_modes_stay_within_the_module(name: str) -> None:
    board = Board.load(name)
    assert board.gpu is not None
    for each in board.power_modes:
        assert (each.sms or 0) <= (board.gpu.sms or 0)
        assert (each.gpu_mhz or 0) <= (board.gpu.max_mhz or 0)


@pytest.mark.parametrize("name", NAMES)
def test_every_group_of_numbers_has_a_source(name: str) -> None:
    board = Board.load(name)
    said = {"budget_ms"}
    said |= {"gpu"} if board.gpu and board.gpu.sms else set()
    said |= {"memory"} if board.memory.gb else set()
    said |= {"dla"} if board.dla else set()
    said |= {"power_modes"} if board.power_modes else set()
    said |= {"software"} if board.software else set()
    assert set(board.sources) == said


def edited(tmp_path: Path, old: str, new: str) -> Path:
    """The cpu board with one change."""
    text = (ROOT / "profiles" / "cpu.toml").read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_a_board_of_ones_own(tmp_path: Path) -> None:
    path = edited(tmp_path, 'name = "cpu"', 'name = "mine"')
    assert Board.load(str(path)).name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('name = "cpu"', 'name = "cpu"\ncolour = "red"', "unknown key colour"),
        ("host_round = 0.5", "host_round = 0.5\nlunch = 3", "unknown key budget_ms.lunch"),
        ("host_round = 0.5", "", "budget_ms.host_round is missing"),
        ("host_round = 0.5", "host_round = -1", "host_round must be above 0, not -1.0"),
        ("host_round = 0.5", "host_round = nan", "host_round must be above 0, not nan"),
        ("host_round = 0.5", 'host_round = "fast"', "budget_ms.host_round must be float"),
        ('engine = "onnxruntime"', 'engine = "abacus"', "unknown engine 'abacus'"),
        ('"int8", ', '"int7", ', "unknown precision 'int7'"),
        ('"int8", ', "8, ", "precisions[1] must be str, not 8"),
        ('budget_ms = "assumed"', 'budget_ms = "guessed"', "unknown source 'guessed'"),
        ('budget_ms = "assumed"', 'wheels = "assumed"', "unknown sources group 'wheels'"),
        ("[budget_ms]", "[[budget_ms]]", "budget_ms must be a table"),
    ],
)
def test_a_wrong_file_names_file_and_key(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    path = edited(tmp_path, old, new)
    with pytest.raises(RecipeError, match=re.escape(complaint)) as caught:
        Board.load(str(path))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(RecipeError, match=r"no 'orin-nx'; known: .*orin-nx-16"):
        Board.load("orin-nx")


def test_nested_tables_are_checked_too(tmp_path: Path) -> None:
    gpu = '[gpu]\narchitecture = "x"\nops_per_clock = { int9 = 1 }\n[budget_ms]'
    with pytest.raises(RecipeError, match="gpu: unknown precision 'int9'"):
        Board.load(str(edited(tmp_path, "[budget_ms]", gpu)))
