"""Whether a bundle fits is known before anything is loaded."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import TINY_BUNDLE, Python
from tests.fakes.board_root import GIB, set_memory
from xsd_edge.bundle import MANIFEST, Bundle
from xsd_edge.errors import DeviceError
from xsd_edge.machine import Machine
from xsd_edge.runtime.preflight import memory_need, require_memory


def seven_billion(context: int = 2304) -> Bundle:
    """Video-LLaVA-7B in INT4 by its sizes: 3.9 GB of weights, a cache for 2056 visual tokens."""
    bundle = Bundle(TINY_BUNDLE)
    manifest = bundle.manifest
    data = replace(manifest.parts["target"].attachments[0], size=3_900_000_000)
    vision = manifest.parts["vision"]
    tower = {name: replace(file, size=620_000_000) for name, file in vision.files.items()}
    bundle.manifest = replace(
        manifest,
        target=replace(
            manifest.target,
            layers=32,
            kv_heads=32,
            head_width=128,
            hidden=4096,
            vocabulary=32064,
            context=context,
            cache_dtype="float16",
        ),
        parts={
            **manifest.parts,
            "target": replace(manifest.parts["target"], attachments=(data,), backend="cuda"),
            "vision": replace(vision, files=tower, backend="tensorrt"),
        },
    )
    return bundle


def test_a_token_of_cache_is_half_a_megabyte() -> None:
    """2 x 32 layers x 32 heads x 128 x 2 bytes, as published for Vicuna-7B."""
    longer = memory_need(seven_billion(2305).manifest).cache
    assert longer - memory_need(seven_billion(2304).manifest).cache == 1 << 19


def test_a_7b_target_is_refused_on_an_8_gb_board(tmp_path: Path) -> None:
    """Of its 7.4 GiB an Orin Nano has 5.2 free at best."""
    set_memory(tmp_path, int(7.4 * GIB), int(5.2 * GIB))
    with pytest.raises(DeviceError) as caught:
        require_memory(seven_billion(), Machine(tmp_path))
    message = str(caught.value)
    for piece in ("weights 4.2", "cache 1.1", "workspace", "camera", "5.20 of 7.40", "--force"):
        assert piece in message
    assert "use a board with more memory" in message
    assert "\n" not in message
    assert caught.value.exit_code == 9


def test_it_fits_an_agx_orin(tmp_path: Path) -> None:
    set_memory(tmp_path, 61 * GIB, 55 * GIB)
    require_memory(seven_billion(), Machine(tmp_path))


def test_what_to_change_depends_on_what_is_short(tmp_path: Path) -> None:
    set_memory(tmp_path, 4 * GIB, 3 * GIB)
    with pytest.raises(DeviceError, match="board with more memory"):
        require_memory(seven_billion(), Machine(tmp_path))
    set_memory(tmp_path, 16 * GIB, 3 * GIB)
    with pytest.raises(DeviceError, match="end other programs"):
        require_memory(seven_billion(), Machine(tmp_path))


def test_without_meminfo_nothing_is_refused(tmp_path: Path) -> None:
    require_memory(seven_billion(), Machine(tmp_path))


def test_a_small_bundle_fits_here() -> None:
    require_memory(Bundle(TINY_BUNDLE), Machine())


def test_run_refuses_and_force_runs(command: Python, tmp_path: Path) -> None:
    """With a context so long that its attention scores alone are more than this machine has."""
    memory = Machine().memory
    assert memory is not None
    folder = tmp_path / "bundle"
    shutil.copytree(TINY_BUNDLE, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["target"]["context"] = memory.total // (3 * 512 * 4)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    arguments = ("run", "--bundle", folder, "--camera", "demo", "--fast", "--max-clips", "1")
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (9, "")
    (line,) = done.stderr.splitlines()
    assert "GiB are free" in line
    forced = command(*arguments, "--force", "--max-tokens", "2")
    assert forced.returncode == 0, forced.stderr
