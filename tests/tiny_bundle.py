"""Makes tests/data/tiny-bundle: the whole bundle of a tiny pair with random weights, 1 MB.

The device suite runs on it, so that it needs neither torch nor an export. Made anew, on a build
host, when the bundle's format or a part's graph changes: `python -m tests.tiny_bundle`.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from tests.conftest import ROOT, TINY_BUNDLE
from tests.export.conftest import write_base, write_trained
from xsd_edge.boards import Board
from xsd_edge.export.pipeline import export_bundle
from xsd_edge.recipe import Recipe


def main() -> None:
    torch.manual_seed(0)
    demo = Recipe.load(ROOT / "export" / "demo.toml")
    with tempfile.TemporaryDirectory() as scratch:
        recipe = replace(
            demo,
            base=replace(demo.base, hub="nobody/tiny"),
            target=replace(
                demo.target,
                vision_hidden=24,
                vision_intermediate=32,
                vision_layers=2,
                low_rank=2,
            ),
            drafter=replace(
                demo.drafter,
                event_patch=16,
                event_hidden=24,
                event_layers=1,
                align_hidden=24,
                head_width=24,
                head_heads=3,
                head_intermediate=32,
                head_context=192,
            ),
            early=None,  # the device suite has a table-driven one
            folder=Path(scratch, "recipe"),
        )
        cache = Path(scratch, "cache")
        write_trained(recipe, write_base(cache / "nobody--tiny"))
        export_bundle(recipe, Board.load("cpu"), TINY_BUNDLE, cache=cache, report=lambda line: None)


if __name__ == "__main__":
    main()
