"""`xsd-edge profile`: measures, prints, writes what was asked for; compares two profiles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xsd_edge import console
from xsd_edge.bundle import Bundle
from xsd_edge.machine import Machine
from xsd_edge.profiling import compare as comparing
from xsd_edge.profiling import html, trace
from xsd_edge.profiling.document import ProfileError, build
from xsd_edge.profiling.measure import Progress, measure
from xsd_edge.profiling.options import ProfileOptions
from xsd_edge.profiling.tables import tables
from xsd_edge.runtime.engine_store import missing_engines
from xsd_edge.runtime.preflight import require_memory


def profile(options: ProfileOptions, *, as_json: bool, progress: Progress) -> None:
    """Profile a bundle; the document or its tables go to stdout, reports to their files."""
    bundle = Bundle(options.run.bundle)
    if not options.run.force:
        require_memory(bundle, Machine(options.root))
    if warning := missing_engines(bundle):
        console.say(warning)
    seen = measure(options, progress)
    document = build(seen)
    if options.trace is not None:
        _write(options.trace, lambda path: trace.write(path, seen))
    if options.html is not None:
        _write(options.html, lambda path: html.write(path, document, seen))
    if as_json:
        console.data_json(document)
        return
    console.data(document["verdict"]["text"])
    for table in tables(document):
        console.table(table)


def compare(before: Path, after: Path, *, force: bool, as_json: bool) -> None:
    """What changed between two profiles that `--json` wrote."""
    found = comparing.compare(comparing.load(before), comparing.load(after), force=force)
    if as_json:
        console.data_json(found.to_json())
        return
    for condition, (one, other) in found.conditions.items():
        console.say(f"{condition.replace('_', ' ')} differs: {one} and {other}")
    console.table(comparing.table(found))


def _write(path: Path, write: Callable[[Path], None]) -> None:
    try:
        write(path)
    except OSError as error:
        raise ProfileError(f"cannot write {path}: {error.strerror}; give another file") from error
    console.say(f"written: {path}")
