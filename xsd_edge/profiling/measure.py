"""Measures: opens bundle and source as `run` does, answers every clip both ways, listens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace

from xsd_edge.boards import Board
from xsd_edge.bundle import Bundle
from xsd_edge.errors import RecipeError, SourceError
from xsd_edge.events.clips import ClipReader
from xsd_edge.events.source import open_source
from xsd_edge.machine import Machine
from xsd_edge.profiling.arms import Arms, Pair, clips
from xsd_edge.profiling.curve import measure_curve
from xsd_edge.profiling.document import Measured
from xsd_edge.profiling.facts import bundle_facts, machine_facts
from xsd_edge.profiling.options import ProfileOptions
from xsd_edge.profiling.sampler import Sampler
from xsd_edge.profiling.sensors import Sensors
from xsd_edge.profiling.taps import EngineTap, SourceTap, peak_resident_bytes, resident_bytes
from xsd_edge.runtime.app import DEMO, frames_for
from xsd_edge.runtime.clocks import on_one_clock
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.stages import Call

Progress = Callable[[int, int], None]  # clips done, clips wanted


@dataclass
class _Seen:
    """What the passes over the source add up to."""

    passes: int = 0
    live: bool = False
    frames: str = ""
    offset_ms: float = 0.0  # measured once where it was to be
    clips: int = 0  # in the first pass
    events: int = 0
    pairs: list[Pair] = field(default_factory=list)
    reading: list[Call] = field(default_factory=list)


def measure(options: ProfileOptions, progress: Progress) -> Measured:
    """Answer `options.clips` clips, each drafted and plain in turns.

    A recording with fewer clips is read again; a camera that ends early gives what it gave. The
    first clip warms up and is not counted.

    Raises:
        SourceError: the source gave no whole clip, or fails.
    """
    bundle = Bundle(options.run.bundle)
    tap, seen = EngineTap(), _Seen()
    session = Session(bundle, opener=tap)
    with Sampler(Sensors(options.root)) as sampler:
        while len(seen.pairs) < options.clips:
            before = len(seen.pairs)
            _read_once(options, bundle, session, tap, seen, progress)
            if seen.live or len(seen.pairs) == before:
                break
        if len(seen.pairs) < 2:
            raise SourceError(
                f"{options.run.camera} gave {len(seen.pairs)} clips of "
                f"{bundle.manifest.clip.duration_us / 1e6:g} s; profile needs 2 or more"
            )
        resident = resident_bytes()
    machine = Machine(options.root)
    return Measured(
        machine=machine_facts(machine),
        bundle=bundle_facts(bundle),
        source={
            "camera": options.run.camera,
            "live": seen.live,
            "frames": seen.frames,
            "clips": len(seen.pairs),
            "different_clips": seen.clips,
            "events": seen.events,
        },
        options=options.run,
        board=_board(bundle, machine),
        pairs=seen.pairs,
        reading=seen.reading,
        curve=measure_curve(session),
        memory=tap.memory,
        peak_bytes=peak_resident_bytes(resident),
        resident_bytes=resident,
        sampler=sampler,
    )


def _read_once(
    options: ProfileOptions,
    bundle: Bundle,
    session: Session,
    tap: EngineTap,
    seen: _Seen,
    progress: Progress,
) -> None:
    """One pass over the source, or what is still wanted of it."""
    run = replace(options.run, offset=seen.offset_ms) if seen.passes else options.run
    spec = str(bundle.named("demo_clip")) if run.camera == DEMO else run.camera
    with closing(open_source(spec)) as opened:
        frames = frames_for(opened, run)
        source = SourceTap(on_one_clock(opened, frames, run))
        seen.offset_ms = frames.offset_us / 1e3
        seen.live, seen.frames, frames_read = source.live, frames.kind, list[Call]()
        clip = bundle.manifest.clip
        reader = ClipReader(source, clip.duration_us, clip.frames, drop_late=source.live)

        def arms() -> Arms:
            return Arms(session, source.geometry, frames.kind, run, tap.calls)

        both = arms()
        with closing(reader):
            for number, captured in enumerate(clips(reader, frames, frames_read)):
                if not seen.passes and not number:
                    arms().pair(captured, plain_first=False)  # first runs of engines cost more
                seen.pairs.append(both.pair(captured, plain_first=bool(len(seen.pairs) % 2)))
                seen.events += sum(len(s.events) for s in captured.slices)
                progress(len(seen.pairs), options.clips)
                if len(seen.pairs) == options.clips:
                    break
    seen.reading += [*source.calls, *frames_read]
    if not seen.passes:
        seen.clips = len(seen.pairs)
    seen.passes += 1


def _board(bundle: Bundle, machine: Machine) -> Board:
    """Whose budgets apply: this machine's where it is known, else those the bundle is for."""
    if machine.board is not None:
        return machine.board
    try:
        return Board.load(bundle.manifest.board)
    except RecipeError:  # a board file of the exporting person's own
        return Board.load("cpu")
