"""The tiny bundle as if it had been exported for an Orin: some parts are TensorRT's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.conftest import TINY_BUNDLE
from xsd_edge.bundle import MANIFEST

PARTS = ("alignment", "event_memory")


def orin_bundle(folder: Path, tolerance: float = 0.97) -> Path:
    """A copy whose `PARTS` have an fp16 and an int8 graph for TensorRT."""
    shutil.copytree(TINY_BUNDLE, folder)
    edit(folder, lambda manifest: _for_orin(manifest, tolerance))
    return folder


def edit(folder: Path, change: Any) -> None:
    """Apply `change` to a bundle's manifest."""
    path = folder / MANIFEST
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def _for_orin(manifest: dict[str, Any], tolerance: float) -> None:
    manifest["board"] = "orin"
    for name in PARTS:
        part = manifest["parts"][name]
        part["backend"], part["default"] = "tensorrt", "fp16"
        part["files"] = {"fp16": part["files"]["fp32"], "int8": part["files"]["int8"]}
        part["tolerance"] = {"fp16": tolerance, "int8": tolerance}
