"""Finding recipe, board and calibration files by name, and reading them strictly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from xsd_edge import toml_files
from xsd_edge.errors import RecipeError


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_checkout_is_searched_from_anywhere(elsewhere: Path) -> None:
    assert toml_files.find("export", "demo") == ROOT / "export" / "demo.toml"


def test_the_working_directory_wins_over_the_checkout(elsewhere: Path) -> None:
    own = elsewhere / "export" / "demo.toml"
    own.parent.mkdir()
    own.touch()
    assert toml_files.find("export", "demo").resolve() == own


def test_an_existing_path_wins_over_a_name(elsewhere: Path) -> None:
    (elsewhere / "demo").touch()
    assert toml_files.find("export", "demo") == Path("demo")


def test_a_folder_is_not_a_file(elsewhere: Path) -> None:
    (elsewhere / "demo").mkdir()
    assert toml_files.find("export", "demo") == ROOT / "export" / "demo.toml"


@pytest.mark.parametrize("spec", ["./demo", "demo.toml", "../export/demo"])
def test_a_missing_path_says_so(elsewhere: Path, spec: str) -> None:
    with pytest.raises(RecipeError, match=r"does not exist; give a TOML file or one of: demo"):
        toml_files.find("export", spec)


def test_a_missing_name_lists_the_known(elsewhere: Path) -> None:
    with pytest.raises(RecipeError, match=r"export has no 'domo'; known: demo"):
        toml_files.find("export", "domo")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"a = ", "not valid TOML"),
        (b"a = '\xff'", "not valid TOML"),
        (b"a = 1\na = 2", "not valid"),
    ],
)
def test_broken_toml(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=complaint):
        toml_files.read(path)


def test_an_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot read .*: Is a directory"):
        toml_files.read(tmp_path)


@dataclass(frozen=True)
class Inner:
    rate: float
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    count: int
    inner: Inner
    point: tuple[float, float] = (0.0, 0.0)
    note: str | None = None
    shares: dict[str, float] | None = None


HERE = Path("here.toml")


def test_fill_converts_and_defaults() -> None:
    table = {
        "count": 2,
        "inner": {"rate": 1, "names": ["a"]},
        "point": [1, 2.5],
        "shares": {"x": 1},
    }
    filled = toml_files.fill(Outer, table, HERE)
    assert filled == Outer(2, Inner(1.0, ("a",)), (1.0, 2.5), None, {"x": 1.0})
    assert isinstance(filled.inner.rate, float)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"inner": {"rate": 1.0}}, "here.toml: count is missing"),
        ({"count": 1, "inner": {}}, "here.toml: inner.rate is missing"),
        ({"count": 1, "inner": 3}, "inner must be a table, not 3"),
        ({"count": True, "inner": {"rate": 1}}, "count must be int, not True"),
        ({"count": 1.0, "inner": {"rate": 1}}, "count must be int, not 1.0"),
        ({"count": 1, "inner": {"rate": True}}, "inner.rate must be float, not True"),
        (
            {"count": 1, "inner": {"rate": 1, "names": "a"}},
            r"inner.names must be tuple\[str, ...\]",
        ),
        ({"count": 1, "inner": {"rate": 1, "x": 1}}, "unknown key inner.x; known: rate, names"),
        ({"count": 1, "inner": {"rate": 1}, "point": [1]}, r"point must be tuple\[float, float\]"),
        ({"count": 1, "inner": {"rate": 1}, "note": 1}, "note must be str, not 1"),
    ],
)
def test_fill_refuses(table: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        toml_files.fill(Outer, table, HERE)


@dataclass(frozen=True)
class Placed:
    count: int
    folder: Path


def test_load_says_where_the_file_lies(tmp_path: Path) -> None:
    path = tmp_path / "placed.toml"
    path.write_text("count = 3")
    assert toml_files.load(Placed, path) == Placed(3, tmp_path)


@pytest.mark.parametrize("key", ['folder = "/etc"', "other = 1"])
def test_the_folder_is_not_a_key(tmp_path: Path, key: str) -> None:
    path = tmp_path / "placed.toml"
    path.write_text(f"count = 3\n{key}")
    with pytest.raises(RecipeError, match=r"unknown key \w+(; known: count)?$"):
        toml_files.load(Placed, path)
