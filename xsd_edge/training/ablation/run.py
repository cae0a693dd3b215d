"""`xsd-edge train ablate`: collect once, train every row, let all answer the same questions."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from xsd_edge.bundle import Bundle, sha256_of
from xsd_edge.errors import TrainingError
from xsd_edge.recipe import AblationSpec
from xsd_edge.runtime.drafter import DraftHead
from xsd_edge.runtime.engine import EngineOptions
from xsd_edge.runtime.lookup import Lookup
from xsd_edge.runtime.onnx_engine import OnnxEngine
from xsd_edge.runtime.session import Session
from xsd_edge.training.ablation.measure import GAMMA, Arena, Competitor
from xsd_edge.training.ablation.rows import DEGRADED_TOO, ROWS, Row
from xsd_edge.training.ablation.school import School, shortened
from xsd_edge.training.ablation.table import write_text
from xsd_edge.training.ablation.totals import Record, totals
from xsd_edge.training.bench import Run
from xsd_edge.world.frame_camera import DEGRADED, SHARP
from xsd_edge.world.scenes import HELD_OUT

CAMERAS: Final = {"sharp": SHARP, **DEGRADED}


def ablate(run: Run, bundle: Bundle, rows: tuple[Row, ...] = ROWS) -> dict[str, Any]:
    """The table as a document; what is finished in the run's folder is not done again on resume.

    Raises:
        TrainingError: the recipe has no ablation, or the bundle's target is not the recipe's.
        BundleError: the bundle is missing or damaged.
    """
    recipe = shortened(run.own_recipe("ablation"))
    spec = recipe.ablation
    assert spec is not None
    run.require_alone("the ablation")
    weights = sha256_of(recipe.folder / recipe.target.trained)
    if bundle.manifest.provenance["target"] != weights:
        raise TrainingError(
            f"{bundle.folder} has another target than recipe {recipe.name}; export it again"
        )
    school = School.opened(run, recipe)
    session = Session(bundle)
    competitors = [_ready(row, school, bundle, session) for row in rows]
    arena = Arena(session, recipe, school.table, recipe.world)
    return {
        "target": weights,
        "budget": {**asdict(spec), "gamma": GAMMA},
        "c": _costs(run, arena, competitors),
        "conditions": {
            name: totals(_judged(name, run, spec, arena, competitors)) for name in CAMERAS
        },
    }


def _ready(row: Row, school: School, bundle: Bundle, session: Session) -> Competitor:
    """A row's drafter, its networks taught and its head exported."""
    if row.lookup:
        return Competitor(row, Lookup(), None)
    variant = school.trained(row)
    engine = OnnxEngine(school.graph(variant), EngineOptions(threads=1))
    mapped = np.load(bundle.named("embedding"), mmap_mode="r", allow_pickle=False)
    info = session.manifest.drafter
    return Competitor(row, DraftHead(engine, info, np.asarray(mapped), school.vocabulary), variant)


def _costs(run: Run, arena: Arena, competitors: list[Competitor]) -> dict[str, float]:
    path = run.folder / "costs.json"
    if run.resume and path.is_file():
        found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
        return found
    found = arena.costs(competitors)
    write_text(path, json.dumps(found))
    return found


def _judged(
    condition: str, run: Run, spec: AblationSpec, arena: Arena, competitors: list[Competitor]
) -> list[Record]:
    """What happened on each held-out stream in front of one camera; kept stream by stream."""
    taking = [c for c in competitors if condition == "sharp" or c.row.name in DEGRADED_TOO]
    path = run.folder / "judged" / f"{condition}.jsonl"
    records = _kept(path, [c.row.name for c in taking]) if run.resume else []
    done = {record["seed"] for record in records}
    for number, seed in enumerate(range(HELD_OUT, HELD_OUT + spec.judged_streams), 1):
        if seed not in done:
            records.append(arena.stream(seed, spec.judged_clips, CAMERAS[condition], taking))
            write_text(path, "".join(f"{json.dumps(record)}\n" for record in records))
        run.report(f"judge {condition}", number, spec.judged_streams, {})
    return records


def _kept(path: Path, rows: list[str]) -> list[Record]:
    """The streams that were judged already.

    Raises:
        TrainingError: they are of other rows.
    """
    if not path.is_file():
        return []
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if any(sorted(record["rows"]) != sorted(rows) for record in records):
        raise TrainingError(f"{path} judged other rows; delete it, it is made again")
    return records
