"""Makes tests/data/tiny-bundle: the whole bundle of a tiny pair with random weights, 1 MB.

The device suite runs on it, so that it needs neither torch nor an export. Made anew, on a build
host, when the bundle's format or a part's graph changes: `python -m tests.tiny_bundle`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from tests.conftest import TINY_BUNDLE
from tests.export.conftest import smallest_recipe, write_base, write_trained
from xsd_edge.boards import Board
from xsd_edge.export.pipeline import export_bundle


def main() -> None:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        # The device suite has a table-driven early drafter.
        recipe = smallest_recipe(Path(scratch, "recipe"))
        cache = Path(scratch, "cache")
        write_trained(recipe, write_base(cache / "nobody--tiny"))
        export_bundle(recipe, Board.load("cpu"), TINY_BUNDLE, cache=cache, report=lambda line: None)


if __name__ == "__main__":
    main()
