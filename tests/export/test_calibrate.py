"""`xsd-edge calibrate`: the same bytes twice, and when an export believes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from xsd_edge.calibration.batches import Pair
from xsd_edge.calibration.clips import CalibrationSet, Clip
from xsd_edge.calibration.ranges import Ranges
from xsd_edge.export.calibrate import model_digest, ranges_for, write_ranges
from xsd_edge.export.pair import clip_info, networks_of, pair_hashes
from xsd_edge.recipe import Recipe

pytestmark = [pytest.mark.host, pytest.mark.slow]

SET = "scenes = 2\nfirst_seed = 900_000_000\n"


@pytest.fixture(autouse=True)
def own_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small set in the working directory, where it goes before the shipped one."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "calibration" / "demo.toml"
    path.parent.mkdir()
    path.write_text(SET)
    return path


def silent(phase: str, step: int, steps: int, values: Mapping[str, float]) -> None:
    pass


def calibrated(recipe: Recipe, cache: Path, output: Path | None = None) -> Path:
    return write_ranges(recipe, output, cache=cache, report=lambda line: None, progress=silent)


def clips(recipe: Recipe) -> list[Clip]:
    return list(
        CalibrationSet.load("demo").clips(recipe.world, clip_info(recipe), lambda line: None)
    )


def test_twice_gives_the_same_bytes(recipe: Recipe, cache: Path, own_set: Path) -> None:
    first = calibrated(recipe, cache)
    assert first.resolve() == own_set.with_suffix(".json")
    again = calibrated(recipe, cache, Path("again.json"))
    assert again.read_bytes() == first.read_bytes()


def test_export_reads_them_while_models_and_clips_are_the_same(
    recipe: Recipe, cache: Path, pair: Pair, own_set: Path
) -> None:
    written = Ranges.load(calibrated(recipe, cache))
    assert written is not None
    model = model_digest(pair_hashes(recipe, cache))
    networks = networks_of(pair)
    assert set(written.parts) == {network.name for network in networks}
    said: list[str] = []

    def found(model: str) -> Ranges:
        return ranges_for(pair, networks, clips(recipe), model, said.append, silent)

    assert found(model) == written
    assert said.pop().startswith("ranges: from ")
    other = found("0" * 64)
    assert "of other models or clips; measuring on 2 clips" in said.pop()
    assert (other.model, other.parts) == ("0" * 64, written.parts)
    own_set.write_text(SET.replace("900_000_000", "900_000_001"))
    assert found(model).data != written.data
    assert "of other models or clips" in said.pop()
    own_set.with_suffix(".json").unlink()
    found(model)
    assert "is not there; measuring" in said.pop()
